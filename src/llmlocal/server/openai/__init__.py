"""OpenAI's endpoints: ``/v1/chat/completions`` and its relatives."""

from __future__ import annotations
