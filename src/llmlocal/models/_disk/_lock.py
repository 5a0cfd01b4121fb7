"""One worker at a time on a model file, whichever thread or process it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..._own_files import remove_link, require_real_folder
from .._names._places import Slot
from ._files import disk_error, make_folder

__all__ = ["locked"]

TICK_S = 0.1


@contextmanager
def locked(slot: Slot, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the slot's lock.  It falls with its process, so none is ever stale.

    Args:
        slot: The file's place.
        on_wait: Called several times a second while another worker has the lock; what it
            raises ends the wait.

    Raises:
        DownloadError: The lock file cannot be made.
    """
    from filelock import FileLock, Timeout

    try:
        require_real_folder(slot.lock.parent)
        make_folder(slot.lock.parent)
        remove_link(slot.lock)  # The lock empties the file that it opens.
    except OSError as exc:
        raise disk_error(exc, slot.lock.parent) from exc
    lock = FileLock(str(slot.lock))
    while True:
        try:
            lock.acquire(timeout=TICK_S, poll_interval=TICK_S / 2)
            break
        except Timeout:
            on_wait()
        except OSError as exc:
            raise disk_error(exc, slot.lock.parent) from exc
    try:
        yield
    finally:
        lock.release()
