"""Devices: which there are, which are meant, and how a model is laid out on them."""

from __future__ import annotations
