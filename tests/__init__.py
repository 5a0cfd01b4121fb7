"""Tests of the Python side; the C++ tests are in ``cpp``."""

from __future__ import annotations
