"""What a model writes: how calls of tools are written, and how they are found in its text."""

from __future__ import annotations

from llmlocal._chat._output._call import ToolCall
from llmlocal._chat._output._call_parser import CallPart
from llmlocal._chat._output._find_format import find_formats, shows_results
from llmlocal._chat._output._format import ToolFormat, json_type
from llmlocal._chat._output._output import OutputParser

__all__ = [
    "CallPart",
    "OutputParser",
    "ToolCall",
    "ToolFormat",
    "find_formats",
    "json_type",
    "shows_results",
]
