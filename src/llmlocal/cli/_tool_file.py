"""The functions of a Python file, as tools for ``llmlocal chat --tools FILE.py``."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal import ToolCall

__all__ = ["call_text", "load_tools"]

_MODULE = "llmlocal_tools_file"
_MOST_SHOWN = 300  # characters


def load_tools(name: str) -> list[Any]:
    """The tools of a file: what its list ``tools`` holds, or all functions that it defines.

    The file is executed, as Python would execute it.

    Raises:
        ParameterError: It can't be read or run, or has no functions.
    """
    path = Path(name).expanduser()
    if not path.is_file():
        raise ParameterError(f"--tools: there is no file {name!r}")
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise ParameterError(f"--tools: {name!r} is not a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # type hints are looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as exc:
        raise ParameterError(f"--tools: {name} failed: {type(exc).__name__}: {exc}") from exc
    listed = getattr(module, "tools", None)
    if isinstance(listed, list | tuple) and listed:
        return list(listed)
    found = [
        value
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == _MODULE and not key.startswith("_")
    ]
    if not found:
        raise ParameterError(f"--tools: {name} defines no functions")
    return found


def call_text(call: ToolCall) -> str:
    """A call as Python writes it, for a person to read."""
    arguments = ", ".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in call.arguments.items()
    )
    text = f"{call.name}({arguments})"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 4]}...)"
