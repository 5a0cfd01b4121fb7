"""gpt4all's model list and its configuration dicts, over llmlocal's catalog.  Pure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmlocal.gpt4all._formats import DEFAULT_FORMAT

if TYPE_CHECKING:
    from llmlocal.models import ModelCard

__all__ = ["DEFAULT_CONFIG", "ConfigType", "default_url", "model_config", "model_filename"]

ConfigType = dict[str, Any]

DEFAULT_CONFIG: ConfigType = {
    "systemPrompt": "",
    "promptTemplate": DEFAULT_FORMAT,
    "systemMessage": "",
    "chatTemplate": None,
}


def model_filename(name: str) -> str:
    """The file that a model's name stands for."""
    return name if name.endswith((".gguf", ".bin")) else f"{name}.gguf"


def default_url(filename: str) -> str:
    """Where gpt4all keeps its models."""
    return f"https://gpt4all.io/models/gguf/{filename}"


def model_config(card: ModelCard) -> ConfigType:
    """A catalog entry in gpt4all's words; numbers are strings there."""
    from llmlocal.models import HttpsSource

    facts = {
        "name": card.title or card.name,
        "filename": card.filename,
        "filesize": _text(card.size_bytes),
        "md5sum": card.md5,
        "sha256sum": card.sha256,
        "ramrequired": _text(card.needed_ram_bytes and -(-card.needed_ram_bytes // 2**30)),
        "parameters": _parameters(card.parameters),
        "quant": card.quantisation and card.quantisation.lower(),
        "type": card.architecture,
        "url": next((s.url for s in card.sources if isinstance(s, HttpsSource)), None),
        "chatTemplate": card.chat_template,
    }
    return {**DEFAULT_CONFIG, **{key: value for key, value in facts.items() if value is not None}}


def matching_card(filename: str, cards: list[ModelCard]) -> ModelCard | None:
    """The catalog's entry for a file."""
    return next((card for card in cards if card.filename == Path(filename).name), None)


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _parameters(count: int | None) -> str | None:
    if count is None:
        return None
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if count >= size:
            return f"{count / size:.0f} {word}"
    return str(count)
