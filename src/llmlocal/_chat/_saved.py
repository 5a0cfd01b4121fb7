"""A chat session as JSON text, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llmlocal._templates import ChatTemplate
from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal._chat._model import ChatModel
    from llmlocal._chat._session import ChatSession

__all__ = ["load_session", "save_session"]

_FORMAT = "llmlocal chat session, version 1"
_SETTINGS = ("tools", "documents", "variables", "overflow")


def save_session(session: ChatSession) -> str:
    """The conversation and the settings."""
    template = session.template
    saved = {
        "format": _FORMAT,
        "messages": session.history,
        "template": template.source if isinstance(template, ChatTemplate) else template,
        **{name: getattr(session, name) for name in _SETTINGS},
        "options": session.options,
        "first": session.first,
    }
    return json.dumps(saved, ensure_ascii=False, indent=1)


def load_session(kind: type[ChatSession], model: ChatModel, text: str) -> ChatSession:
    """A session of this kind, which goes on with ``model``.

    Raises:
        ParameterError: ``text`` is not what :func:`save_session` gave; says why.
    """
    try:
        saved = json.loads(text)
        if saved["format"] != _FORMAT:
            raise ParameterError(f"this is {saved['format']!r}, not a {_FORMAT!r}")
        options = dict(saved["options"])
        if "logit_bias" in options:  # JSON has no numbers for keys
            options["logit_bias"] = {int(k): v for k, v in options["logit_bias"].items()}
        settings = {name: saved[name] for name in ("messages", "template", *_SETTINGS)}
        session = kind(model, **settings, **options)
        session.first = int(saved["first"])
    except KeyError as exc:
        raise ParameterError(f"this is not a saved chat session: it has no {exc}") from exc
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise ParameterError(f"this is not a saved chat session: {exc}") from exc
    return session
