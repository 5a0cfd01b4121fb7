"""One request to a model: its options, its reply, its streams."""

from __future__ import annotations
