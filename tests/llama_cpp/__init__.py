"""The pinned llama.cpp source: its pin, its archive, its fetching."""

from __future__ import annotations
