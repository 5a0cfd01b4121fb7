"""The command line, as its own process."""

from __future__ import annotations
