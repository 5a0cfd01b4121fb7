"""What runs inside a system's own process: one module each, started with ``python -m``.

They import the standard library, this package's own modules and the system, for a peer's
environment holds nothing else.
"""

from __future__ import annotations
