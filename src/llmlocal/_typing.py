"""What of typing's names Python 3.10 lacks, also for programs that ask for hints at run time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__all__ = ["Self", "Unpack"]

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack
elif sys.version_info >= (3, 11):
    from typing import Self, Unpack
else:
    Self = Any

    class Unpack:
        """In its place: ``Unpack[Options]`` is ``Options``."""

        def __class_getitem__(cls, options: Any) -> Any:
            return options
