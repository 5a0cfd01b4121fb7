"""What the names of model files say: the part of a split model, and the quantisation."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["choose_file", "is_later_part", "part_names", "quantisations", "whole_name"]

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
MAX_PARTS = 999

_PREFERRED = ("Q4_K_M", "Q4_0", "Q4_K_S", "Q5_K_M", "Q8_0")
_QUANTISATION = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q\d|TQ\d|MXFP4|NVFP4|BF16|F16|F32)[A-Z0-9_]*)(?=$|[-./])",
    re.IGNORECASE,
)


def part_names(name: str) -> tuple[str, ...]:
    """The names of all files of the model that this one belongs to, the first part first."""
    match = _PART.fullmatch(name)
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]) <= MAX_PARTS:
        return (name,)
    count = int(match["count"])
    return tuple(f"{match['stem']}-{n:05d}-of-{count:05d}.gguf" for n in range(1, count + 1))


def is_later_part(name: str) -> bool:
    """Whether this is a part of a model, but not its first."""
    return part_names(name)[0] != name


def whole_name(name: str) -> str:
    """What the model is called: without the part's number and without ``.gguf``."""
    match = _PART.fullmatch(name)
    stem = match["stem"] if match and len(part_names(name)) > 1 else name
    return stem[:-5] if stem.lower().endswith(".gguf") else stem


def choose_file(paths: Iterable[str], quantisation: str | None) -> str | None:
    """The file, or first part, that has the quantisation; None if there is none.

    Without a quantisation the usual middle is preferred (Q4_K_M, then its neighbours), and a
    repository's only model is taken whatever it is.
    """
    models = _models(paths)
    for wanted in [quantisation] if quantisation else _PREFERRED:
        found = [path for path in models if _has(path, wanted)]
        if found:
            return min(found, key=lambda path: (len(path), path))
    return models[0] if quantisation is None and len(models) == 1 else None


def quantisations(paths: Iterable[str]) -> list[str]:
    """What a repository's files offer, each once, in the order of the files."""
    found = (_QUANTISATION.findall(whole_name(path)) for path in _models(paths))
    return list(dict.fromkeys(matches[-1] for matches in found if matches))


def _models(paths: Iterable[str]) -> list[str]:
    return [
        path
        for path in paths
        if path.lower().endswith(".gguf")
        and not is_later_part(path)
        and "mmproj" not in path.lower()
        and "imatrix" not in path.lower()
    ]


def _has(path: str, quantisation: str) -> bool:
    pattern = rf"(?:^|[-._/]){re.escape(quantisation)}(?:$|[-./])"
    return re.search(pattern, whole_name(part_names(path)[0]), re.IGNORECASE) is not None
