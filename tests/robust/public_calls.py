"""Every public call, with arguments that are right: one at a time is exchanged for any value."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llmlocal
from llmlocal import (
    LLM,
    ChatSession,
    Embed4All,
    Embedder,
    GPT4All,
    ModelPool,
    Options,
    Reranker,
    RunOptions,
    models,
)
from llmlocal._chat._options import ChatOptions, RenderOptions
from llmlocal.cli import main

from ..embeddings import tiny_bert
from ..tiny_models import llama

__all__ = ["NAMES", "Call", "open_calls"]

_LIMITS: dict[str, Any] = {"max_tokens": 2, "timeout": 5}
# Threads and contexts by the hundred thousand are what was asked for, and take a while.
_LOADS: dict[str, Any] = {
    "device": "cpu",
    "n_threads": 1,
    "n_ctx": 64,
    "progress": False,
    "allow_download": False,
}


@dataclass(frozen=True)
class Call:
    """A function to call.

    Attributes:
        function: What is called, with arguments by their names.
        arguments: What is right.
        names: What may be exchanged, and is not there otherwise.
    """

    function: Callable[..., object]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    names: frozenset[str] = frozenset()

    @property
    def parameters(self) -> list[str]:
        """What may be exchanged."""
        try:
            own = inspect.signature(self.function).parameters.values()
        except ValueError:
            own = {}.values()
        named = {
            each.name for each in own if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        }
        return sorted({*self.arguments, *named, *self.names} - {"self", "arguments"})

    def __call__(self, parameter: str, value: object) -> None:
        result = self.function(**{**self.arguments, parameter: value})
        if inspect.isawaitable(result):
            asyncio.run(_awaited(result))
        elif hasattr(result, "cancel") and hasattr(result, "__next__"):
            list(result)  # type: ignore[call-overload]


async def _awaited(what: Any) -> None:
    await what


def open_calls(stack: ExitStack, folder: Path) -> dict[str, Call]:
    """Every call by its name; what it opens, the stack closes."""
    path = llama(layers=1).write(folder / "tiny.gguf")
    embedding = tiny_bert.embedder().write(folder / "embedding.gguf", kind="f32")
    ranking = tiny_bert.cross_encoder().write(folder / "ranking.gguf", kind="f32")
    llm = stack.enter_context(LLM(path, **_LOADS))
    embedder = stack.enter_context(Embedder(embedding, **_LOADS))
    reranker = stack.enter_context(Reranker(ranking, **_LOADS))
    gpt4all = stack.enter_context(
        GPT4All(path.name, str(folder), n_threads=1, n_ctx=64, device="cpu")
    )
    embed4all = stack.enter_context(
        Embed4All(embedding.name, model_path=str(folder), n_threads=1, device="cpu")
    )
    pool = stack.enter_context(ModelPool({"a": path}, embedders={"b": embedding}, **_LOADS))
    own = str(folder / "models")
    options = frozenset(Options.__annotations__) | {"callback", "streaming", "n", "timeout"}
    chat = options | frozenset(ChatOptions.__annotations__) | frozenset(RunOptions.__annotations__)
    prompt = {"prompt": "hello", **_LIMITS}
    said = {"messages": "hello", **_LIMITS}

    def answered(**arguments: Any) -> None:
        session = llm.chat_session(**arguments)
        session.generate("hello", **_LIMITS)
        ChatSession.from_json(llm, session.to_json()).undo()

    def in_turn(**arguments: Any) -> object:
        return llm.chat_session(max_tokens=2, timeout=5).generate(**arguments)

    def run(**arguments: Any) -> object:
        return llm.chat_session(max_tokens=2, timeout=5).run(**arguments)

    def saved(**arguments: Any) -> None:
        llm.chat_session("be brief").save(folder / "session", **arguments)

    def edited(**arguments: Any) -> None:
        session = llm.chat_session(**_LIMITS)
        for name, value in arguments.items():
            setattr(session, name, value)
        session.generate("hello")
        session.to_json()

    def of_a_pool(**arguments: Any) -> None:
        with pool.use(**arguments) as model:
            repr(model)

    def in_a_session(**arguments: Any) -> None:
        with gpt4all.chat_session(**arguments):
            gpt4all.generate("hello", max_tokens=2)

    calls = {
        "LLM": _opened(LLM, {"model": path, **_LOADS}),
        "LLM.generate": Call(llm.generate, prompt, options),
        "LLM.generate.many": Call(llm.generate, {**prompt, "prompt": ["a", "b"]}, options),
        "LLM.generate.streaming": Call(llm.generate, {**prompt, "streaming": True}, options),
        "LLM.agenerate": Call(llm.agenerate, prompt, options),
        "LLM.map": Call(
            lambda **given: list(llm.map(**given)),
            {"prompts": ["a"], **_LIMITS},
            options | {"in_flight"},
        ),
        "LLM.infill": Call(llm.infill, {"prefix": "a", "suffix": "b", **_LIMITS}, options),
        "LLM.score": Call(llm.score, {"text": "a b", "after": "c"}),
        "LLM.chat": Call(llm.chat, said, chat),
        "LLM.chat.streaming": Call(llm.chat, {**said, "streaming": True}, chat),
        "LLM.achat": Call(llm.achat, said, chat),
        "LLM.render": Call(llm.render, {"messages": "a"}, frozenset(RenderOptions.__annotations__)),
        "LLM.chat_template": Call(llm.chat_template),
        "LLM.tokenize": Call(llm.tokenize, {"text": "a"}),
        "LLM.encode_segments": Call(llm.encode_segments, {"segments": [("a", True)]}),
        "LLM.detokenize": Call(llm.detokenize, {"tokens": [1]}),
        "LLM.count_tokens": Call(llm.count_tokens, {"text": "a"}),
        "LLM.is_end_token": Call(llm.is_end_token, {"token": 1}),
        "LLM.save_state": Call(llm.save_state, {"prompt": "a"}),
        "LLM.load_state": Call(llm.load_state, {"state": b""}),
        "ChatSession": Call(answered, {}, chat | {"system", "messages"}),
        "ChatSession.generate": Call(in_turn, {"prompt": "a"}, chat | {"variables"}),
        "ChatSession.run": Call(run, {"prompt": "a"}, chat),
        "ChatSession.answers": Call(
            llm.chat_session(messages=[{"role": "user", "content": "a"}], **_LIMITS).answers,
            {"n": 2},
        ),
        "ChatSession.from_json": Call(
            lambda text: ChatSession.from_json(llm, text), {"text": "{}"}
        ),
        "ChatSession.save": Call(saved, {}, frozenset({"state"})),
        "ChatSession.edited": Call(
            edited,
            {},
            frozenset(
                {
                    "system",
                    "history",
                    "template",
                    "tools",
                    "tool_choice",
                    "parallel_tool_calls",
                    "documents",
                    "variables",
                    "overflow",
                    "options",
                    "first",
                }
            ),
        ),
        "Embedder": _opened(Embedder, {"model": embedding, **_LOADS}),
        "Embedder.embed": Call(embedder.embed, {"texts": ["a", "b"]}),
        "Embedder.aembed": Call(embedder.aembed, {"texts": ["a", "b"]}),
        "Embedder.embed_each": Call(
            lambda **given: list(embedder.embed_each(**given)),
            {"texts": ["a"]},
            frozenset(inspect.signature(embedder.embed_each).parameters),
        ),
        "Embedder.similarity": Call(embedder.similarity, {"first": [1.0], "second": [1.0]}),
        "Reranker": _opened(Reranker, {"model": ranking, **_LOADS}),
        "Reranker.rerank": Call(reranker.rerank, {"query": "a", "documents": ["b"]}),
        "Reranker.arerank": Call(reranker.arerank, {"query": "a", "documents": ["b"]}),
        "Reranker.classify": Call(reranker.classify, {"texts": ["a"]}),
        "ModelPool": _opened(ModelPool, {"models": {"a": path}, **_LOADS}),
        "ModelPool.use": Call(of_a_pool, {"name": "a"}, frozenset({"keep_alive"})),
        "ModelPool.unload": Call(pool.unload, {"name": "a"}),
        "ModelPool.name_of": Call(pool.name_of, {"name": "a"}),
        "ModelPool.of_kind": Call(pool.of_kind, {"kind": "embed"}),
        "ModelPool.kind_of": Call(pool.kind_of, {"name": "a"}),
        "ModelPool.source": Call(pool.source, {"name": "a"}),
        "GPT4All": _opened(
            GPT4All,
            {
                "model_name": path.name,
                "model_path": str(folder),
                "allow_download": False,
                "n_ctx": 64,
                "device": "cpu",
                "n_threads": 1,
            },
        ),
        "GPT4All.generate": Call(gpt4all.generate, {"prompt": "a", "max_tokens": 2}),
        "GPT4All.chat_session": Call(
            in_a_session,
            {},
            frozenset({"system_prompt", "prompt_template", "system_message", "chat_template"}),
        ),
        "Embed4All": _opened(
            Embed4All,
            {
                "model_name": embedding.name,
                "model_path": str(folder),
                "allow_download": False,
                "device": "cpu",
                "n_threads": 1,
            },
        ),
        "Embed4All.embed": Call(embed4all.embed, {"text": ["a", "b"]}),
        "devices": Call(llmlocal.devices, {}),
        "ChatTemplate": Call(llmlocal.ChatTemplate, {"source": "{{ messages }}"}),
        "models.catalog": Call(models.catalog),
        "models.installed": Call(models.installed, {"model_path": own}),
        "models.find": Call(models.find, {"name": "tiny", "model_path": own}),
        "models.models_folder": Call(models.models_folder, {"model_path": own}),
        "models.resolve": Call(
            models.resolve, {"name": "tiny", "model_path": own, "allow_download": False}
        ),
        "models.inspect": Call(models.inspect, {"name": path, "allow_download": False}),
        "models.verify": Call(models.verify, {"name": "tiny", "model_path": own}),
        "models.remove": Call(models.remove, {"name": "nothing", "model_path": own}),
        "models.pull": Call(models.pull, {"name_or_url": "nothing", "model_path": own}),
        "models.refresh": Call(models.refresh, {"url": "http://localhost:1/"}),
        "command line": Call(_command, {"words": []}),
    }
    assert [*calls] == NAMES
    return calls


NAMES = [
    "LLM",
    "LLM.generate",
    "LLM.generate.many",
    "LLM.generate.streaming",
    "LLM.agenerate",
    "LLM.map",
    "LLM.infill",
    "LLM.score",
    "LLM.chat",
    "LLM.chat.streaming",
    "LLM.achat",
    "LLM.render",
    "LLM.chat_template",
    "LLM.tokenize",
    "LLM.encode_segments",
    "LLM.detokenize",
    "LLM.count_tokens",
    "LLM.is_end_token",
    "LLM.save_state",
    "LLM.load_state",
    "ChatSession",
    "ChatSession.generate",
    "ChatSession.run",
    "ChatSession.answers",
    "ChatSession.from_json",
    "ChatSession.save",
    "ChatSession.edited",
    "Embedder",
    "Embedder.embed",
    "Embedder.aembed",
    "Embedder.embed_each",
    "Embedder.similarity",
    "Reranker",
    "Reranker.rerank",
    "Reranker.arerank",
    "Reranker.classify",
    "ModelPool",
    "ModelPool.use",
    "ModelPool.unload",
    "ModelPool.name_of",
    "ModelPool.of_kind",
    "ModelPool.kind_of",
    "ModelPool.source",
    "GPT4All",
    "GPT4All.generate",
    "GPT4All.chat_session",
    "Embed4All",
    "Embed4All.embed",
    "devices",
    "ChatTemplate",
    "models.catalog",
    "models.installed",
    "models.find",
    "models.models_folder",
    "models.resolve",
    "models.inspect",
    "models.verify",
    "models.remove",
    "models.pull",
    "models.refresh",
    "command line",
]
"""The names of the calls, for those who have to know them before anything is open."""


def _opened(kind: Callable[..., Any], arguments: Mapping[str, Any]) -> Call:
    def opened(**given: Any) -> None:
        with kind(**given) as made:
            repr(made)

    own = inspect.signature(kind).parameters.values()
    named = frozenset(each.name for each in own if each.kind is not each.VAR_KEYWORD)
    return Call(opened, arguments, named)


_COMMANDS = [
    "run",
    "chat",
    "embed",
    "rerank",
    "models",
    "pull",
    "show",
    "verify",
    "rm",
    "path",
    "devices",
    "cache",
]


def _command(words: object = ()) -> None:
    """Whatever a shell can pass: texts without NUL, and bytes that are none."""
    listed = list(words) if isinstance(words, (list, tuple)) else [words]
    told = [word.replace("\0", "") for word in map(_shown, listed)]
    command = _COMMANDS[sum(map(len, told)) % len(_COMMANDS)]
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        contextlib.suppress(SystemExit),
    ):
        main([command, *told])
    assert "Traceback" not in out.getvalue() + err.getvalue()


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return ""
    except Exception:  # noqa: BLE001 - the value's own
        return ""
