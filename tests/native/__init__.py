"""The extension and the engine behind it, on tiny models."""

from __future__ import annotations
