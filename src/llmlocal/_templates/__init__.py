"""Chat templates: messages to prompt, legacy ``{0}`` formats, and reasoning told from the answer."""

from __future__ import annotations

from ._marked import Segment, own_text
from ._messages import Message, check_list, checked_messages
from ._prompt import ChatPrompt, SegmentEncoder, encode_prompt
from ._reasoning import Part, ReasoningSplitter, ReasoningTags
from ._template import ChatTemplate

__all__ = [
    "ChatPrompt",
    "ChatTemplate",
    "Message",
    "Part",
    "ReasoningSplitter",
    "ReasoningTags",
    "Segment",
    "SegmentEncoder",
    "check_list",
    "checked_messages",
    "encode_prompt",
    "own_text",
]
