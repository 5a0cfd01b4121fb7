"""Source distributions as the tests need them: sound, and meant to do harm."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import fetch
import pin

TOP = "llama_cpp_python-1.0"
TREE = f"{TOP}/vendor/llama.cpp"
COMMIT = "0123456789" * 4
PARTS = frozenset({"LICENSE", "src"})

Entry = tuple[tarfile.TarInfo, bytes]
MakeArchive = Callable[[Iterable[Entry]], Path]


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Entry:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, content


def good_entries() -> list[Entry]:
    numbers = "\n".join(
        f"set(X_VERSION_{n} {i})" for i, n in enumerate(["MAJOR", "MINOR", "PATCH"], 4)
    )
    whole = [entry(f"{TREE}/{part}/file.txt", b"kept") for part in fetch.LIBRARY_PARTS - PARTS]
    return [
        entry(f"{TOP}/PKG-INFO", b"Name: llama_cpp_python\n"),
        entry(f"{TOP}/.git/modules/vendor/llama.cpp/HEAD", f"{COMMIT}\n".encode()),
        entry(f"{TREE}/CMakeLists.txt", numbers.encode()),
        entry(f"{TREE}/LICENSE", b"MIT"),
        entry(f"{TREE}/src", kind=tarfile.DIRTYPE),
        entry(f"{TREE}/src/deep/llama.cpp", b"int main;"),
        entry(f"{TREE}/common/common.cpp", b"tool"),
        entry(f"{TREE}/tools/bench.cpp", b"tool"),
        entry(f"{TREE}/scripts/assets.cmake", b"script"),
        entry(f"{TREE}/models/huge.gguf", b"\0" * 1000),
        *[e for e in whole if "CMakeLists" not in e[0].name],
    ]


def write_archive(path: Path, entries: Iterable[Entry]) -> Path:
    """Writes a `.tar.gz` of these members, whatever they are."""
    with tarfile.open(path, "w:gz") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return path


class Download:
    """Stands for pip: brings this archive, and counts."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.requirements: list[str] = []

    def __call__(self, requirement: str, folder: Path) -> Path:
        self.requirements.append(requirement)
        target = folder / self.archive.name
        target.write_bytes(self.archive.read_bytes())
        return target


def pin_of(archive: Path) -> pin.Pin:
    return pin.Pin("llama-cpp-python", "1.0", hashlib.sha256(archive.read_bytes()).hexdigest())


def write_pin(home: Path, wanted: pin.Pin) -> Path:
    path = home / "pin.txt"
    path.write_text(pin.format_pin(wanted), encoding="utf-8")
    return path


def files_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


# A member that means harm, and a part of the reason to refuse it.
HOSTILE = {
    "climbs": (entry(f"{TREE}/src/../../../../evil", b"x"), "leaves its folder"),
    "climbs outside the wanted parts": (entry("../evil", b"x"), "leaves its folder"),
    "absolute": (entry("/tmp/evil", b"x"), "leaves its folder"),
    "windows separator": (entry(f"{TREE}/src/..\\evil", b"x"), "leaves its folder"),
    "windows drive": (entry(f"{TREE}/src/C:evil", b"x"), "leaves its folder"),
    "symlink": (entry(f"{TREE}/src/link", kind=tarfile.SYMTYPE, link="/etc"), "link or a device"),
    "hard link": (
        entry(f"{TREE}/src/link", kind=tarfile.LNKTYPE, link="../../../evil"),
        "link or a device",
    ),
    "device": (entry(f"{TREE}/src/null", kind=tarfile.CHRTYPE), "link or a device"),
    "pipe": (entry(f"{TREE}/src/pipe", kind=tarfile.FIFOTYPE), "link or a device"),
    "double": (entry(f"{TREE}/LICENSE", b"other"), "'LICENSE' twice"),
}
