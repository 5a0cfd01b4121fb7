"""Chooses one model among the files of a repository, by the quantisation in their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ._split import is_later_part, part_names, whole_name

__all__ = ["choose_file", "quantisations"]

_PREFERRED = ("Q4_K_M", "Q4_0", "Q4_K_S", "Q5_K_M", "Q8_0")
_QUANTISATION = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q\d|TQ\d|MXFP4|NVFP4|BF16|F16|F32)[A-Z0-9_]*)(?=$|[-./])",
    re.IGNORECASE,
)


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
