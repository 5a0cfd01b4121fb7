"""Texts into vectors and scores: cutting, submitting, waiting, and what is made of the numbers."""

from __future__ import annotations
