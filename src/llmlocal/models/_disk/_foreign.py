"""Models that other tools hold: found, used in place, and never modified.

Each function reads one tool's layout.  What cannot be read is not there: another tool's
damage is no error of ours.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ._files import file_size

__all__ = ["ForeignModel", "foreign_models"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ForeignModel:
    """One file of another tool.

    Attributes:
        tool: Whose it is: ``"gpt4all"``, ``"huggingface"``, ``"lmstudio"`` or ``"ollama"``.
        name: What to call it here.
        path: The file.
        repository: The hub's repository that it is of, where that is known.
        repository_path: Its path there.
        sha256: Its digest, where the tool keeps files by digest.
    """

    tool: str
    name: str
    path: Path
    repository: str | None = None
    repository_path: str | None = None
    sha256: str | None = None


def foreign_models() -> Iterator[ForeignModel]:
    """Every model file that another tool holds, first parts and later ones."""
    for folder in _gpt4all_folders():
        for path in _gguf_files(folder, "*"):
            yield ForeignModel("gpt4all", path.stem, path)
    yield from _hugging_face(_hugging_face_folder())
    for folder in _lm_studio_folders():
        yield from _lm_studio(folder)
    for folder in _ollama_folders():
        yield from _ollama(folder)


def _gpt4all_folders() -> list[Path]:
    folders = [Path.home() / ".cache" / "gpt4all"]
    if sys.platform == "darwin":  # pragma: no cover - only there
        folders.append(Path.home() / "Library" / "Application Support" / "nomic.ai" / "GPT4All")
    elif sys.platform == "win32":  # pragma: no cover - only there
        local = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        folders.append(local / "nomic.ai" / "GPT4All")
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        folders.append(data / "nomic.ai" / "GPT4All")
    return folders


def _hugging_face_folder() -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(name):
            return Path(chosen).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser() / "hub"


def _hugging_face(cache: Path) -> Iterator[ForeignModel]:
    """``models--OWNER--REPO/snapshots/COMMIT/PATH``, a link to ``blobs/DIGEST``."""
    for repository in _listed(cache, "models--*--*"):
        owner_and_name = repository.name.removeprefix("models--").replace("--", "/", 1)
        main = _read(repository / "refs" / "main")
        snapshots = _listed(repository / "snapshots", "*")
        # The newest word of the hub comes first; older snapshots still hold good files.
        for snapshot in sorted(snapshots, key=lambda folder: (folder.name != main, folder.name)):
            for path in _gguf_files(snapshot, "**/*"):
                inside = path.relative_to(snapshot).as_posix()
                blob = path.resolve().name
                yield ForeignModel(
                    "huggingface",
                    f"hf:{owner_and_name}/{inside}",
                    path,
                    owner_and_name,
                    inside,
                    blob if _SHA256.fullmatch(blob) else None,
                )


def _lm_studio_folders() -> list[Path]:
    homes = [Path.home() / ".lmstudio", Path.home() / ".cache" / "lm-studio"]
    pointed = _read(Path.home() / ".lmstudio-home-pointer")
    if pointed:
        homes.insert(0, Path(pointed))
    return [home / "models" for home in dict.fromkeys(homes)]


def _lm_studio(folder: Path) -> Iterator[ForeignModel]:
    """``OWNER/REPO/FILE.gguf``."""
    for path in _gguf_files(folder, "*/*/*"):
        owner, repository, name = path.relative_to(folder).parts
        yield ForeignModel(
            "lmstudio", f"{owner}/{repository}/{path.stem}", path, f"{owner}/{repository}", name
        )


def _ollama_folders() -> list[Path]:
    if chosen := os.environ.get("OLLAMA_MODELS"):
        return [Path(chosen).expanduser()]
    service = Path("/usr/share/ollama/.ollama/models")
    return [Path.home() / ".ollama" / "models", service]


def _ollama(folder: Path) -> Iterator[ForeignModel]:
    """``manifests/HOST/NAMESPACE/NAME/TAG``, which names ``blobs/sha256-DIGEST``."""
    manifests = folder / "manifests"
    for manifest in _listed(manifests, "*/*/*/*"):
        host, namespace, name, tag = manifest.relative_to(manifests).parts
        digest = _ollama_digest(manifest)
        if digest is None:
            continue
        blob = folder / "blobs" / f"sha256-{digest}"
        if file_size(blob) is None:
            continue
        prefix = "" if host == "registry.ollama.ai" else f"{host}/"
        prefix += "" if namespace == "library" else f"{namespace}/"
        yield ForeignModel("ollama", f"{prefix}{name}:{tag}", blob, sha256=digest)


def _ollama_digest(manifest: Path) -> str | None:
    try:
        layers = json.loads(manifest.read_text("utf-8"))["layers"]
        for layer in layers:
            if layer["mediaType"] == "application/vnd.ollama.image.model":
                digest = str(layer["digest"]).removeprefix("sha256:")
                return digest if _SHA256.fullmatch(digest) else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass  # Not a manifest, or not one that can be read.
    return None


def _gguf_files(folder: Path, pattern: str) -> list[Path]:
    return [path for path in _listed(folder, f"{pattern}.gguf") if file_size(path) is not None]


def _listed(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""
