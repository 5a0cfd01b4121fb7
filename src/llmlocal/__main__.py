"""``python -m llmlocal`` is the ``llmlocal`` command."""

from __future__ import annotations

import sys

from llmlocal.cli import main

sys.exit(main())
