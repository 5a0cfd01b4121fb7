"""Writes the project of a package that carries one backend of llmlocal's: llmlocal-vulkan, ...

    python packaging/backends/make.py vulkan FOLDER      then: python -m build FOLDER

The package holds one shared library and an entry point, and requires llmlocal of its own version:
the two share structures in memory.  Standard library only.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATE = Path(__file__).resolve().parent / "template"
FETCHING = ("CMakeLists.txt", "fetch.py", "pin.py", "pin.txt", "sdist.py")


@dataclass(frozen=True)
class Backend:
    """A backend that may be a package.

    Attributes:
        devices: What it drives, for the package's description.
        languages: Of CMake, besides C and C++.
        needs: What must be installed to build it.
    """

    devices: str
    needs: str
    languages: str = ""


BACKENDS = {
    "cuda": Backend("NVIDIA GPUs", "the CUDA toolkit", "CUDA"),
    "hip": Backend("AMD GPUs, through ROCm", "ROCm, with hipcc as the compiler"),
    "opencl": Backend("Adreno and Intel GPUs, through OpenCL", "the OpenCL headers and loader"),
    "rpc": Backend("devices of other machines", "nothing more"),
    "sycl": Backend("Intel GPUs, through oneAPI", "oneAPI, with icpx as the compiler"),
    "vulkan": Backend(
        "GPUs with a Vulkan driver",
        "glslc, the SPIR-V headers, and Vulkan headers 1.3.272 or newer",
    ),
}


def write_project(name: str, folder: Path, version: str) -> None:
    """Write the project of one backend's package.

    Raises:
        FileExistsError: The folder is there and not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    backend = BACKENDS[name]
    values = {
        "NAME": name,
        "VERSION": version,
        "DEVICES": backend.devices,
        "NEEDS": backend.needs,
        "LANGUAGES": f"C CXX {backend.languages}".strip(),
    }
    for source in sorted(TEMPLATE.rglob("*.in")):
        target = folder / fill(str(source.relative_to(TEMPLATE))[: -len(".in")], values)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(fill(source.read_text(encoding="utf-8"), values), encoding="utf-8")
    fetching = folder / "third_party" / "llama.cpp"
    fetching.mkdir(parents=True)
    for part in FETCHING:
        shutil.copyfile(ROOT / "third_party" / "llama.cpp" / part, fetching / part)
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")


def fill(text: str, values: dict[str, str]) -> str:
    """Put values in place of ``@NAME@``; an unknown name is a mistake in the template."""
    return re.sub("@([A-Z]+)@", lambda match: values[match[1]], text)


def core_version() -> str:
    """The version of llmlocal in this tree."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError("pyproject.toml states no version")
    return found[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the project of a backend's package.")
    parser.add_argument("backend", choices=sorted(BACKENDS))
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args(argv)
    try:
        write_project(arguments.backend, arguments.folder, core_version())
    except OSError as exc:
        sys.stderr.write(f"make.py: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
