"""What is on disk: the library's own models folder and those of other tools.

Looking things up here costs no request, ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelNotFoundError, ParameterError
from .._catalog._card import ModelCard
from .._names._filenames import choose_file, is_later_part, part_names, whole_name
from .._names._places import Slot, models_folder
from .._names._reference import HubFile, HubModel
from .._names._safe import safe_relative
from ._files import file_size
from ._foreign import ForeignModel, foreign_models

__all__ = ["InstalledModel", "Store", "installed_at"]

OWN = "llmlocal"
MAX_DEPTH = 4
"""How deep a models folder is searched: OWNER/REPO/FOLDER/FILE.gguf, and one more."""


@dataclass(frozen=True)
class InstalledModel:
    """A model that is on disk.

    Attributes:
        name: What to ask for.
        path: Its file, of a split model the first part: what is loaded.
        paths: All its files.
        size_bytes: Of all its files.
        tool: ``"llmlocal"``; ``"path"`` if it was asked for by its path; or the other tool that
            holds it: ``"gpt4all"``, ``"huggingface"``, ``"lmstudio"`` or ``"ollama"``.
        sha256: Its digest where the tool keeps files by digest; not verified.
        root: The models folder that it is in, if it is the library's own.
    """

    name: str
    path: Path
    paths: tuple[Path, ...]
    size_bytes: int
    tool: str
    sha256: str | None = None
    root: Path | None = None

    @property
    def is_own(self) -> bool:
        """Whether it is in the models folder, so that it may be removed."""
        return self.root is not None

    def slots(self) -> list[Slot]:
        """The places of its files in the models folder; none if it is not the library's own."""
        if self.root is None:
            return []
        try:
            return [Slot(self.root, path.relative_to(self.root).as_posix()) for path in self.paths]
        except ParameterError:
            return []  # Put there by hand, under a name that the library would not have given.


class Store:
    """The models folder, and beside it what other tools hold.

    Args:
        model_path: A folder to use instead of all of these, None for them.
    """

    def __init__(self, model_path: str | os.PathLike[str] | None = None) -> None:
        self.root = models_folder(model_path)
        self._is_alone = model_path is not None

    def slot(self, relative: str) -> Slot:
        """The place of a file in the models folder."""
        return Slot(self.root, relative)

    def own(self) -> list[InstalledModel]:
        """The complete models in the models folder."""
        paths = _gguf_files(self.root)
        models = [self._own(path) for path in paths if not is_later_part(path.name)]
        return [model for model in models if model is not None]

    def foreign(self) -> list[InstalledModel]:
        """The complete models of other tools."""
        models = [
            _of_tool(found) for found in self._foreign() if not is_later_part(found.path.name)
        ]
        return [model for model in models if model is not None]

    def named(self, name: str) -> InstalledModel | None:
        """The model whose name, file name or path in the folder this is."""
        wanted = _key(name)
        relative = name if name.lower().endswith(".gguf") else f"{name}.gguf"
        direct = self.of_file(relative)
        if direct is not None:
            return direct
        for model in (*self.own(), *self.foreign()):
            names = {model.name, model.path.name, model.path.stem, whole_name(model.path.name)}
            if model.tool == "ollama":
                names |= {model.name.removesuffix(":latest")}
            if wanted in {_key(each) for each in names}:
                return model
        return None

    def of_file(self, relative: str) -> InstalledModel | None:
        """The model whose path in the models folder this is, or a part of it."""
        try:
            folder, slash, name = safe_relative(relative).rpartition("/")
        except ParameterError:
            return None
        return self._own(self.slot(folder + slash + part_names(name)[0]).target)

    def of_card(self, card: ModelCard) -> InstalledModel | None:
        """The file of a catalog model: by its digest, or by its name and size."""
        own = self.of_file(card.filename)
        if own is not None and card.size_bytes in {None, own.size_bytes}:
            return own
        return self._first(
            lambda found: (
                (card.sha256 is not None and found.sha256 == card.sha256)
                or (found.path.name == card.filename and card.size_bytes == file_size(found.path))
            )
        )

    def of_hub_file(self, file: HubFile) -> InstalledModel | None:
        """The file of a repository of the hub."""
        own = self.of_file(file.relative)
        if own is not None or file.revision != "main":
            return own
        first = part_names(file.path)[0]
        return self._first(
            lambda found: (found.repository, found.repository_path) == (file.repository, first)
        )

    def of_hub_model(self, model: HubModel) -> InstalledModel | None:
        """The file of a repository that has the quantisation, among those on disk."""
        folder = self.root.joinpath(*model.folder.split("/"))
        own = [path.relative_to(folder).as_posix() for path in _gguf_files(folder)]
        foreign = [
            found.repository_path or ""
            for found in self._foreign()
            if found.repository == model.repository and model.revision == "main"
        ]
        chosen = choose_file(own, model.quantisation) or choose_file(foreign, model.quantisation)
        if chosen is None:
            return None
        return self.of_hub_file(HubFile(model.repository, chosen, model.revision))

    def _foreign(self) -> Iterable[ForeignModel]:
        return () if self._is_alone else foreign_models()

    def _first(self, fits: Callable[[ForeignModel], bool]) -> InstalledModel | None:
        for found in self._foreign():
            if fits(found):
                model = _of_tool(found)
                if model is not None:
                    return model
        return None

    def _own(self, path: Path) -> InstalledModel | None:
        name = whole_name(path.relative_to(self.root).as_posix())
        return _installed(name, path, OWN, root=self.root)


def installed_at(path: Path) -> InstalledModel:
    """The model that a file belongs to.

    Raises:
        ModelNotFoundError: The file, or another part of the same model, is not there.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path's own raises where a name is too long
        message = f"{path.absolute()} is a folder; name a .gguf file in it"
        raise ModelNotFoundError(message)
    first = path.with_name(part_names(path.name)[0])
    model = _installed(whole_name(first.name), first, "path")
    if model is None:
        missing = [each for each in _parts(first) if file_size(each) is None]
        is_there = os.path.lexists(missing[0])
        what = "is not a regular file that can be looked at" if is_there else "does not exist"
        message = f"{missing[0].absolute()} {what}"
        raise ModelNotFoundError(message)
    return model


def _gguf_files(folder: Path) -> list[Path]:
    """The files of a models folder; not searched without end, as a user may name any folder."""
    found = []
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(
            name for name in folders if depth < MAX_DEPTH and not name.startswith(".")
        )
        found += [Path(place, name) for name in sorted(names) if name.endswith(".gguf")]
    return found


def _of_tool(found: ForeignModel) -> InstalledModel | None:
    return _installed(found.name, found.path, found.tool, found.sha256)


def _installed(
    name: str, path: Path, tool: str, sha256: str | None = None, root: Path | None = None
) -> InstalledModel | None:
    """The model, unless one of its files is missing."""
    paths = _parts(path)
    sizes = [file_size(each) for each in paths]
    if any(size is None for size in sizes):
        return None
    total = sum(size or 0 for size in sizes)
    return InstalledModel(name, path, paths, total, tool, sha256, root)


def _parts(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(name) for name in part_names(path.name))


def _key(name: str) -> str:
    return name.lower().removesuffix(".gguf")
