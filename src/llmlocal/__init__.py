"""Local language models inside a Python process.

    >>> from llmlocal import LLM
    >>> llm = LLM("smollm2-135m-instruct")
    >>> print(llm.generate("The capital of France is", max_tokens=8, temp=0))

Names are looked up when they are first used, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmlocal import models as models
    from llmlocal._chat import AsyncChatStream as AsyncChatStream
    from llmlocal._chat import CallPart as CallPart
    from llmlocal._chat import ChatReply as ChatReply
    from llmlocal._chat import ChatSession as ChatSession
    from llmlocal._chat import ChatStream as ChatStream
    from llmlocal._chat import RunOptions as RunOptions
    from llmlocal._chat import ToolCall as ToolCall
    from llmlocal._devices._choice import Device as Device
    from llmlocal._devices._choice import devices as devices
    from llmlocal._embedder import Embedder as Embedder
    from llmlocal._generation._async import AsyncStream as AsyncStream
    from llmlocal._generation._completion import Completion as Completion
    from llmlocal._generation._completion import Timings as Timings
    from llmlocal._generation._completion import Usage as Usage
    from llmlocal._generation._logprobs import TokenLogprob as TokenLogprob
    from llmlocal._generation._options import Options as Options
    from llmlocal._generation._score import Score as Score
    from llmlocal._generation._stream import Stream as Stream
    from llmlocal._llm import LLM as LLM
    from llmlocal._memory_use import MemoryUse as MemoryUse
    from llmlocal._pool import ModelPool as ModelPool
    from llmlocal._progress import Progress as Progress
    from llmlocal._reranker import Classification as Classification
    from llmlocal._reranker import Ranked as Ranked
    from llmlocal._reranker import Reranker as Reranker
    from llmlocal._stats import Stats as Stats
    from llmlocal._templates import ChatTemplate as ChatTemplate
    from llmlocal.errors import ChecksumError as ChecksumError
    from llmlocal.errors import ConstraintError as ConstraintError
    from llmlocal.errors import ContextOverflowError as ContextOverflowError
    from llmlocal.errors import DeviceError as DeviceError
    from llmlocal.errors import DownloadCancelledError as DownloadCancelledError
    from llmlocal.errors import DownloadError as DownloadError
    from llmlocal.errors import EngineClosedError as EngineClosedError
    from llmlocal.errors import EngineError as EngineError
    from llmlocal.errors import LLMLocalError as LLMLocalError
    from llmlocal.errors import LoadCancelledError as LoadCancelledError
    from llmlocal.errors import ModelError as ModelError
    from llmlocal.errors import ModelLoadError as ModelLoadError
    from llmlocal.errors import ModelNotFoundError as ModelNotFoundError
    from llmlocal.errors import OutOfMemoryError as OutOfMemoryError
    from llmlocal.errors import ParameterError as ParameterError
    from llmlocal.errors import RequestCancelledError as RequestCancelledError
    from llmlocal.errors import RequestError as RequestError
    from llmlocal.errors import RequestTimeoutError as RequestTimeoutError
    from llmlocal.errors import SchemaError as SchemaError
    from llmlocal.errors import TemplateError as TemplateError
    from llmlocal.gpt4all import Embed4All as Embed4All
    from llmlocal.gpt4all import GPT4All as GPT4All

_HOMES = {
    "AsyncChatStream": "_chat",
    "AsyncStream": "_generation._async",
    "CallPart": "_chat",
    "ChatReply": "_chat",
    "ChatSession": "_chat",
    "ChatStream": "_chat",
    "ChatTemplate": "_templates",
    "Classification": "_reranker",
    "Completion": "_generation._completion",
    "Device": "_devices._choice",
    "Embed4All": "gpt4all",
    "Embedder": "_embedder",
    "GPT4All": "gpt4all",
    "LLM": "_llm",
    "MemoryUse": "_memory_use",
    "ModelPool": "_pool",
    "Options": "_generation._options",
    "Progress": "_progress",
    "RunOptions": "_chat",
    "Score": "_generation._score",
    "Ranked": "_reranker",
    "Reranker": "_reranker",
    "Stats": "_stats",
    "Stream": "_generation._stream",
    "Timings": "_generation._completion",
    "ToolCall": "_chat",
    "TokenLogprob": "_generation._logprobs",
    "Usage": "_generation._completion",
    "devices": "_devices._choice",
    "models": "",
    **dict.fromkeys(
        (
            "ChecksumError",
            "ConstraintError",
            "ContextOverflowError",
            "DeviceError",
            "DownloadCancelledError",
            "DownloadError",
            "EngineClosedError",
            "EngineError",
            "LLMLocalError",
            "LoadCancelledError",
            "ModelError",
            "ModelLoadError",
            "ModelNotFoundError",
            "OutOfMemoryError",
            "ParameterError",
            "RequestCancelledError",
            "RequestError",
            "SchemaError",
            "RequestTimeoutError",
            "TemplateError",
        ),
        "errors",
    ),
}

__version__ = "0.1.0"
__all__ = sorted([*_HOMES, "__version__"], key=str.casefold)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'llmlocal' has no attribute {name!r}")
    if not home:
        return import_module(f"llmlocal.{name}")
    value = getattr(import_module(f"llmlocal.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
