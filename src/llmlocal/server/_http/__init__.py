"""What every endpoint needs of HTTP, whichever protocol it speaks."""

from __future__ import annotations
