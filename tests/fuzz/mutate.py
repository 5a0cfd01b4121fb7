"""Makes a wrong file of a right one: pure, and the same for the same random numbers."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from random import Random

__all__ = ["Layout", "layout_of", "mutate"]

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY = 8, 9
_NUMBERS = [0, 1, 2, 3, 7, 63, 64, 127, 128, 255, 256, 511, 512, 513, 1000, 4096, 65535, 65536]
_NUMBERS += [10**6, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1]
_FLOATS = [0.0, -1.0, 1e-45, 1e38, float("nan"), float("inf"), float("-inf")]


@dataclass(frozen=True)
class Span:
    """A number or a text in a file: where it begins, and how many bytes it has."""

    begin: int
    size: int

    @property
    def end(self) -> int:
        return self.begin + self.size


@dataclass(frozen=True)
class Layout:
    """Where a GGUF file has what.

    Attributes:
        numbers: All that is a number in the header: counts, lengths, types, values, shapes.
        texts: The bytes of keys, values and names.
        settings: Whole settings.
        tensors: Whole descriptions of tensors.
        body: Where the weights begin.
    """

    numbers: tuple[Span, ...]
    texts: tuple[Span, ...]
    settings: tuple[Span, ...]
    tensors: tuple[Span, ...]
    body: int


class _Walker:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        self.numbers: list[Span] = []
        self.texts: list[Span] = []

    def number(self, size: int) -> int:
        span = Span(self.at, size)
        self.numbers.append(span)
        self.at = span.end
        return int.from_bytes(self._data[span.begin : span.end], "little")

    def text(self) -> None:
        size = self.number(8)
        self.texts.append(Span(self.at, size))
        self.at += size

    def setting(self) -> Span:
        begin = self.at
        self.text()
        kind = self.number(4)
        if kind == _ARRAY:
            of = self.number(4)
            for _ in range(self.number(8)):
                self._value(of)
        else:
            self._value(kind)
        return Span(begin, self.at - begin)

    def _value(self, kind: int) -> None:
        if kind == _TEXT:
            self.text()
        else:
            self.number(_SIZES[kind])

    def tensor(self) -> Span:
        begin = self.at
        self.text()
        for _ in range(self.number(4)):
            self.number(8)
        self.number(4)
        self.number(8)
        return Span(begin, self.at - begin)


def layout_of(data: bytes) -> Layout:
    """Find everything in the file of an honest model."""
    walker = _Walker(data)
    walker.at = 4
    walker.number(4)
    tensors, settings = walker.number(8), walker.number(8)
    setting_spans = [walker.setting() for _ in range(settings)]
    tensor_spans = [walker.tensor() for _ in range(tensors)]
    return Layout(
        tuple(walker.numbers),
        tuple(walker.texts),
        tuple(setting_spans),
        tuple(tensor_spans),
        (walker.at + 31) // 32 * 32,
    )


def mutate(data: bytes, layout: Layout, random: Random) -> bytes:
    """One to three things wrong with the file."""
    changed = data
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        changed = random.choice(_CHANGES)(changed, layout, random)
        if len(changed) != len(data):
            break  # The layout is not the file's any more.
    return changed


def _put(data: bytes, span: Span, new: bytes) -> bytes:
    return data[: span.begin] + new + data[span.end :]


def _other_number(data: bytes, layout: Layout, random: Random) -> bytes:
    # A vocabulary has thousands of numbers, and everything else some hundred: as often these.
    header = [
        n for span in (*layout.settings, *layout.tensors) for n in _first_numbers(span, layout)
    ]
    span = random.choice(random.choice([layout.numbers, header or layout.numbers]))
    value = random.choice(_NUMBERS) if random.random() < 0.8 else random.getrandbits(64)
    return _put(data, span, value.to_bytes(8, "little")[: span.size].ljust(span.size, b"\0"))


def _first_numbers(span: Span, layout: Layout) -> list[Span]:
    inside = [n for n in layout.numbers if span.begin <= n.begin < span.end]
    return inside[:8]


def _near_number(data: bytes, layout: Layout, random: Random) -> bytes:
    span = random.choice(layout.numbers)
    value = int.from_bytes(data[span.begin : span.end], "little")
    value = (value + random.choice([-2, -1, 1, 2, value])) % (1 << (8 * span.size))
    return _put(data, span, value.to_bytes(span.size, "little"))


def _other_float(data: bytes, layout: Layout, random: Random) -> bytes:
    fours = [span for span in layout.numbers if span.size == 4]
    return _put(data, random.choice(fours), struct.pack("<f", random.choice(_FLOATS)))


def _other_text(data: bytes, layout: Layout, random: Random) -> bytes:
    span = random.choice(layout.texts)
    other = random.choice(layout.texts)
    new = random.choice(
        [
            b"",
            bytes(random.getrandbits(8) for _ in range(span.size)),
            data[other.begin : other.end],
            b"\0" * span.size,
            b"a" * random.choice([1, 64, 300, 100_000]),
        ]
    )
    length = Span(span.begin - 8, 8)
    return _put(_put(data, span, new), length, struct.pack("<Q", len(new)))


def _flipped_bytes(data: bytes, layout: Layout, random: Random) -> bytes:
    edited = bytearray(data)
    for _ in range(random.choice([1, 2, 8, 64])):
        edited[random.randrange(4, min(layout.body, len(edited)))] = random.getrandbits(8)
    return bytes(edited)


def _cut(data: bytes, layout: Layout, random: Random) -> bytes:
    border = random.choice(layout.numbers + layout.texts).begin
    return data[: random.choice([border, random.randrange(len(data)), len(data) - 1])]


def _without_setting(data: bytes, layout: Layout, random: Random) -> bytes:
    return _recounted(_put(data, random.choice(layout.settings), b""), 16, -1)


def _setting_twice(data: bytes, layout: Layout, random: Random) -> bytes:
    span = random.choice(layout.settings)
    twice = data[span.begin : span.end] * 2
    return _recounted(_put(data, span, twice), 16, 1)


def _without_tensor(data: bytes, layout: Layout, random: Random) -> bytes:
    return _recounted(_put(data, random.choice(layout.tensors), b""), 8, -1)


def _recounted(data: bytes, at: int, change: int) -> bytes:
    (count,) = struct.unpack_from("<Q", data, at)
    return _put(data, Span(at, 8), struct.pack("<Q", (count + change) % 2**64))


def _broken_weights(data: bytes, layout: Layout, random: Random) -> bytes:
    edited = bytearray(data)
    for _ in range(random.choice([1, 100, 10_000])):
        at = random.randrange(layout.body, max(len(edited) - 4, layout.body + 1)) // 4 * 4
        edited[at : at + 4] = struct.pack("<f", random.choice(_FLOATS))
    return bytes(edited)


_CHANGES = [
    _other_number,
    _other_number,
    _other_number,
    _near_number,
    _other_float,
    _other_text,
    _flipped_bytes,
    _cut,
    _without_setting,
    _setting_twice,
    _without_tensor,
    _broken_weights,
]
