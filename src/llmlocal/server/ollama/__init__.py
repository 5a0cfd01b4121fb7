"""Ollama's endpoints, as its Python client and the web interfaces made for it use them."""

from __future__ import annotations
