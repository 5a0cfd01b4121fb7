"""An HTTP server over the engine: the endpoints that clients of OpenAI, Anthropic and Ollama speak.

One process, one event loop; the engine batches what arrives together.  Rooms, from below:
``_http`` (bodies, errors, streams of events, who may come in), ``_answers`` (what is generated,
in no protocol's words), then one module or folder for each protocol, and ``_app`` on top.
"""

from __future__ import annotations

from llmlocal.server._app import create_app

__all__ = ["create_app"]
