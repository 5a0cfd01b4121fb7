"""Anthropic's endpoints: ``/v1/messages`` and the counting of tokens."""

from __future__ import annotations
