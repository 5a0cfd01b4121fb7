"""What programs use of gpt4all's module of this name: the callback's type, and the prompt log."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["ResponseCallbackType", "empty_response_callback", "log_prompt"]

ResponseCallbackType = Callable[[int, str], bool]
"""Called with a token's id and its text; False ends the generation."""

# The documented name: programs switch the log on by it.
logger = logging.getLogger("gpt4all.pyllmodel")


def empty_response_callback(token_id: int, response: str) -> bool:  # noqa: ARG001
    """Go on."""
    return True


def log_prompt(text: str) -> None:
    """Log the text that is sent to the model: of a chat, what is new in this turn."""
    logger.info("LLModel.prompt_model -- prompt:\n%s\n===/LLModel.prompt_model -- prompt/===", text)
