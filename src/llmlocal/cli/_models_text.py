"""What the commands about models print: rows, tables and lines, as values.  Nothing is printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .._machine import available_bytes, total_bytes
from ..models import InstalledModel, MemoryEstimate, ModelCard, ModelInfo
from ..models._disk._files import readable_size
from ..models._gguf._reader import LongArray
from ..models._names._filenames import quantisations
from ._table import aligned

__all__ = ["SPARE", "Row", "info_as_json", "info_lines", "rows", "table"]

SPARE = ("LICENCE", "TASK", "PARAMETERS", "QUANT")
"""Columns of :func:`table` that a narrow terminal does without."""


@dataclass(frozen=True)
class Row:
    """One line of the list of models; None where a fact is not known."""

    name: str
    size_bytes: int | None
    quantisation: str | None
    parameters: int | None
    task: str | None
    licence: str | None
    ram_bytes: int | None
    fits: bool | None
    tool: str | None
    path: str | None

    def as_json(self) -> dict[str, Any]:
        """The row as plain values."""
        return asdict(self)


def rows(
    cards: Sequence[ModelCard], on_disk: Sequence[InstalledModel], *, is_filtered: bool
) -> list[Row]:
    """The catalog with what is on disk, and then what is on disk beyond it.

    Args:
        cards: Models of the catalog.
        on_disk: Models on disk.
        is_filtered: Whether the cards are a choice, so that others are left out.
    """
    memory = total_bytes()
    left = list(on_disk)
    listed = []
    for card in cards:
        model = next((each for each in left if _is_of(card, each)), None)
        if model is not None:
            left = [each for each in left if not _is_of(card, each)]
        listed.append(_catalog_row(card, model, memory))
    if is_filtered:
        return listed
    return listed + [_disk_row(model, memory) for model in left]


def table(listed: Sequence[Row]) -> Sequence[Sequence[str]]:
    """The rows as cells, under their headings."""
    cells = [("NAME", "SIZE", "QUANT", "PARAMETERS", "TASK", "LICENCE", "FITS HERE", "ON DISK")]
    cells += [
        (
            row.name,
            "-" if row.size_bytes is None else readable_size(row.size_bytes),
            row.quantisation or "-",
            "-" if row.parameters is None else _count(row.parameters),
            row.task or "-",
            row.licence or "-",
            {True: "yes", False: "no", None: "-"}[row.fits],
            row.tool or "-",
        )
        for row in listed
    ]
    return cells


def info_lines(
    info: ModelInfo, memory: MemoryEstimate, *, metadata: bool, tensors: bool
) -> Iterator[str]:
    """What a model is and what it needs, for people."""
    free = available_bytes()
    facts: list[tuple[str, str]] = [
        ("source", info.source),
        ("name", info.name or "-"),
        ("architecture", info.architecture),
        ("parameters", f"{_count(info.parameters)} ({info.parameters})"),
        ("quantisation", info.quantisation or "-"),
        ("file size", "-" if info.file_bytes is None else readable_size(info.file_bytes)),
        ("context length", "-" if info.context_length is None else f"{info.context_length} tokens"),
        ("tokenizer", f"{info.tokenizer or '-'}, {info.vocabulary or '-'} tokens"),
        ("licence", info.licence or "-"),
        ("tensors", str(len(info.tensors))),
        (f"memory, {memory.n_ctx} tokens", readable_size(memory.total)),
        ("  weights", readable_size(memory.weights)),
        ("  context", readable_size(memory.kv + memory.recurrent)),
        ("  work space", f"{readable_size(memory.compute)} (estimate)"),
        ("fits here now", _fits_now(memory.total, free)),
    ]
    yield from aligned(facts)
    if info.chat_template is None:
        yield "chat template   none"
    else:
        yield "chat template"
        yield from (f"  {line}" for line in info.chat_template.splitlines())
    if metadata:
        yield "settings"
        settings = [(f"  {key}", _value(value)) for key, value in info.metadata.items()]
        yield from aligned(settings)
    if tensors:
        listed = [
            (f"  {t.name}", t.type, "x".join(map(str, t.shape)), readable_size(t.size_bytes))
            for t in info.tensors
        ]
        yield from aligned(listed)


def info_as_json(
    info: ModelInfo, memory: MemoryEstimate, *, metadata: bool, tensors: bool
) -> Mapping[str, Any]:
    """The same as plain values."""
    free = available_bytes()
    shown: dict[str, Any] = {
        "source": info.source,
        "name": info.name,
        "architecture": info.architecture,
        "parameters": info.parameters,
        "quantisation": info.quantisation,
        "file_bytes": info.file_bytes,
        "context_length": info.context_length,
        "tokenizer": info.tokenizer,
        "vocabulary": info.vocabulary,
        "licence": info.licence,
        "chat_templates": dict(info.chat_templates),
        "memory": {**asdict(memory), "total": memory.total, "available": free},
    }
    if metadata:
        shown["metadata"] = {
            key: {"length": value.length} if isinstance(value, LongArray) else value
            for key, value in info.metadata.items()
        }
    if tensors:
        shown["tensors"] = [asdict(tensor) for tensor in info.tensors]
    return shown


def _catalog_row(card: ModelCard, model: InstalledModel | None, memory: int | None) -> Row:
    return Row(
        name=card.name,
        size_bytes=card.size_bytes if model is None else model.size_bytes,
        quantisation=card.quantisation,
        parameters=card.parameters,
        task=card.task,
        licence=card.licence,
        ram_bytes=card.needed_ram_bytes,
        fits=_fits(card.needed_ram_bytes, memory),
        tool=None if model is None else model.tool,
        path=None if model is None else str(model.path),
    )


def _disk_row(model: InstalledModel, memory: int | None) -> Row:
    ram = model.size_bytes * 6 // 5  # The file, and a fifth for the context.
    return Row(
        name=model.name,
        size_bytes=model.size_bytes,
        quantisation=next(iter(quantisations([model.path.name])), None),
        parameters=None,
        task=None,
        licence=None,
        ram_bytes=ram,
        fits=_fits(ram, memory),
        tool=model.tool,
        path=str(model.path),
    )


def _fits(needed: int | None, memory: int | None) -> bool | None:
    return None if needed is None or memory is None else needed <= memory


def _is_of(card: ModelCard, model: InstalledModel) -> bool:
    if card.sha256 is not None and model.sha256 == card.sha256:
        return True
    return model.path.name == card.filename and card.size_bytes in {None, model.size_bytes}


def _count(number: int) -> str:
    if number >= 1e9:
        return f"{number / 1e9:.1f}B"
    return f"{number / 1e6:.0f}M"


def _fits_now(needed: int, free: int | None) -> str:
    if free is None:
        return "unknown"
    verdict = "yes" if needed <= free else "no"
    return f"{verdict}, {readable_size(free)} are available"


def _value(value: object) -> str:
    text = f"{value.length} elements" if isinstance(value, LongArray) else str(value)
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:97]}..."
