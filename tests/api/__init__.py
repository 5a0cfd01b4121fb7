"""What a user of the public API may count on, shown with tiny models."""

from __future__ import annotations
