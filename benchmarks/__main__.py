"""``python -m benchmarks``."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from benchmarks.cli import main


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, _interrupt)  # So that the systems are ended with us.
sys.exit(main())
