"""Vocabularies of every algorithm that llama.cpp has, as small as they can be."""

from __future__ import annotations

from .tiny_vocab import Kind, Vocab, bpe_vocab, spm_vocab

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def wpm_vocab() -> Vocab:
    """WordPiece, as BERT has it: words begin with a mark, and both ends of a text are marked."""
    words = [f"\u2581{letter}" for letter in LETTERS] + list(LETTERS)
    control = [("[PAD]", Kind.CONTROL), ("[UNK]", Kind.CONTROL)]
    control += [("[CLS]", Kind.CONTROL), ("[SEP]", Kind.CONTROL), ("[MASK]", Kind.CONTROL)]
    return Vocab(
        model="bert",
        pre=None,
        tokens=(*control, *((word, Kind.NORMAL) for word in words)),
        special={"padding": 0, "unknown": 1, "bos": 2, "seperator": 3, "mask": 4},
    )


def ugm_vocab() -> Vocab:
    """Unigram, as T5 has it."""
    tokens = [("<pad>", Kind.CONTROL), ("</s>", Kind.CONTROL), ("<unk>", Kind.UNKNOWN)]
    tokens += [("\u2581", Kind.NORMAL), *((letter, Kind.NORMAL) for letter in LETTERS)]
    return Vocab(model="t5", pre=None, tokens=tuple(tokens), special={"eos": 1, "unknown": 2})


def rwkv_vocab(*, without: bytes = b"") -> Vocab:
    """A trie of bytes, as RWKV has it; ``without`` lacks these bytes as tokens of their own."""
    tokens = [("<s>", Kind.CONTROL)]
    tokens += [(f"\\x{byte:02x}", Kind.NORMAL) for byte in range(256) if byte not in without]
    tokens += [(word, Kind.NORMAL) for word in ("the", "hello", "world", "\\n\\n")]
    return Vocab(model="rwkv", pre=None, tokens=tuple(tokens), special={"bos": 0, "eos": 0})


def plamo2_vocab() -> Vocab:
    """Dynamic programming over suffixes, as PLaMo 2 has it."""
    tokens = [("<|plamo:unk|>", Kind.UNKNOWN), ("<|plamo:bos|>", Kind.CONTROL)]
    tokens += [("<|plamo:eos|>", Kind.CONTROL), ("<|plamo:pad|>", Kind.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", Kind.BYTE) for byte in range(256)]
    tokens += [(word, Kind.NORMAL) for word in (*LETTERS, "the", "hello")]
    return Vocab(model="plamo2", pre=None, tokens=tuple(tokens), special={"bos": 1, "eos": 2})


KINDS = {
    "bpe": bpe_vocab(),
    "spm": spm_vocab(),
    "wpm": wpm_vocab(),
    "ugm": ugm_vocab(),
    "rwkv": rwkv_vocab(),
    "plamo2": plamo2_vocab(),
}
