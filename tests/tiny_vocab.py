"""Small vocabularies of the kinds that real models have, for the tests' own models.

The merges are learnt from a fixed text by plain byte-pair encoding, so that words have several
possible splits; every vocabulary is the same on every machine.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from itertools import pairwise

TEXT = (
    "the quick brown fox jumps over the lazy dog and then the dog sleeps in the warm sun while "
    "the other foxes look for another river where there are more fish than they can count; "
    "one two three four five six seven eight nine ten, hello world, hello there, this is it. "
    "A model reads the tokens of a text one after another and then it says what comes next. "
)


class Kind(IntEnum):
    """What a token is, as GGUF numbers it."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocab:
    """A vocabulary as a GGUF file holds it.

    Attributes:
        model: The algorithm: "gpt2" (byte-level BPE) or "llama" (SentencePiece).
        pre: How text is cut before BPE; None for SentencePiece.
        tokens: Spelling and kind of every token, by id.
        merges: For BPE: what joins, the most important first.
        special: Ids of special tokens by their GGUF names: "bos", "eos", "eot", "unknown".
        flags: More ``tokenizer.ggml.`` settings, such as add_bos_token.
    """

    model: str
    pre: str | None
    tokens: tuple[tuple[str, Kind], ...]
    merges: tuple[str, ...] = ()
    special: dict[str, int] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)

    def id(self, text: str) -> int:
        """The id of the token with this spelling."""
        return _ids(self.tokens)[text]

    def ids(self, kind: Kind) -> list[int]:
        return [token for token, (_, each) in enumerate(self.tokens) if each is kind]

    def unprintable(self) -> list[int]:
        """Ids of the tokens that are no text: control tokens, and bytes but for printable ASCII."""
        special = self.ids(Kind.CONTROL) + self.ids(Kind.UNKNOWN) + self.ids(Kind.USER_DEFINED)
        if self.model not in {"gpt2", "llama"}:
            return special
        bare = {*range(0x20), *range(0x7F, 0x100)} if self.model == "gpt2" else set(range(0x100))
        bare.discard(ord("\n"))
        return special + self.byte_ids(bytes(sorted(bare)))

    def byte_ids(self, text: str | bytes) -> list[int]:
        """The ids of the tokens for the single bytes of a text."""
        data = text.encode() if isinstance(text, str) else text
        alphabet = _byte_letters()
        names = [f"<0x{byte:02X}>" if self.model == "llama" else alphabet[byte] for byte in data]
        return [self.id(name) for name in names]


@cache
def _ids(tokens: tuple[tuple[str, Kind], ...]) -> dict[str, int]:
    return {text: token for token, (text, _) in enumerate(tokens)}


BPE_CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eom_id|>")
TOOL_TOKEN = "<tool_call>"  # User-defined: found in any text, and not a control token.


@cache
def bpe_vocab(*, pre: str = "gpt-2", add_bos: bool | None = None) -> Vocab:
    """A byte-level BPE vocabulary as GPT-2, Llama 3, Qwen and SmolLM have it.

    ``<|endoftext|>`` is BOS and EOS, ``<|im_end|>`` EOT and ``<|eom_id|>`` EOM: three tokens end a
    text.
    """
    letters = _byte_letters()
    words = [[letters[byte] for byte in word.encode()] for word in re.findall(r" ?\w+|\S", TEXT)]
    merges = _learn_merges(words, 160)
    tokens = [(text, Kind.CONTROL) for text in BPE_CONTROL]
    tokens.append((TOOL_TOKEN, Kind.USER_DEFINED))
    tokens += [(letters[byte], Kind.NORMAL) for byte in range(256)]
    tokens += [(first + second, Kind.NORMAL) for first, second in merges]
    return Vocab(
        model="gpt2",
        pre=pre,
        tokens=tuple(tokens),
        merges=tuple(" ".join(pair) for pair in merges),
        special={"bos": 0, "eos": 0, "eot": 2, "eom": 3},
        flags={} if add_bos is None else {"add_bos_token": add_bos},
    )


@cache
def spm_vocab(
    *,
    add_bos: bool | None = None,
    add_eos: bool | None = None,
    add_space_prefix: bool | None = None,
) -> Vocab:
    """A SentencePiece vocabulary as Llama 2, Mistral and Gemma have it, with byte tokens.

    Llama.cpp's defaults hold where a flag is None: BOS and a leading space are added.
    """
    words = [list("▁" + word.lstrip()) for word in re.findall(r" ?\w+|\S", TEXT)]
    letters = sorted({letter for word in words for letter in word} | set("äé世"))
    merges = _learn_merges(words, 160)
    tokens = [("<unk>", Kind.UNKNOWN), ("<s>", Kind.CONTROL), ("</s>", Kind.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", Kind.BYTE) for byte in range(256)]
    tokens += [("<start_of_turn>", Kind.CONTROL), ("<end_of_turn>", Kind.CONTROL)]
    tokens.append((TOOL_TOKEN, Kind.USER_DEFINED))
    tokens += [(first + second, Kind.NORMAL) for first, second in merges]
    tokens += [(letter, Kind.NORMAL) for letter in letters]
    end_of_turn = next(i for i, (text, _) in enumerate(tokens) if text == "<end_of_turn>")
    flags = {
        "add_bos_token": add_bos,
        "add_eos_token": add_eos,
        "add_space_prefix": add_space_prefix,
    }
    return Vocab(
        model="llama",
        pre=None,
        tokens=tuple(tokens),
        special={"bos": 1, "eos": 2, "eot": end_of_turn, "unknown": 0},
        flags={name: flag for name, flag in flags.items() if flag is not None},
    )


@cache
def _byte_letters() -> tuple[str, ...]:
    """The letter that byte-level BPE writes for each byte: itself if printable, else a stand-in."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)}
    spare = iter(range(256, 512))
    return tuple(chr(byte if byte in printable else next(spare)) for byte in range(256))


def _learn_merges(words: list[list[str]], count: int) -> list[tuple[str, str]]:
    """Byte-pair encoding: join the most frequent neighbours, and again; ties in alphabetic order."""
    words = [list(word) for word in words]
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs = Counter(pair for word in words for pair in pairwise(word))
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = [_join(word, best) for word in words]
    return merges


def _join(word: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for letter in word:
        if joined and (joined[-1], letter) == pair:
            joined[-1] += letter
        else:
            joined.append(letter)
    return joined
