"""Text to tokens as llama.cpp does it, but that no text of a user becomes a control token; and back."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from llmlocal import ParameterError, _core

from ..tiny_models import TinyModel, llama
from ..tiny_vocab import BPE_CONTROL, TEXT, TOOL_TOKEN, Kind, Vocab, bpe_vocab, spm_vocab
from .vocab_files import load_vocab

KINDS = ["bpe", "spm", "spm without space"]
WORDS = [
    *sorted(set(TEXT.split())),
    *BPE_CONTROL,
    *("<s>", "</s>", "<unk>", "<start_of_turn>", "<end_of_turn>", TOOL_TOKEN),
    *("<|im_", "end|>", "<", ">", "|", "s", " ", "  ", "\n", "\t", " .", " ,", " 't", " 's", " ' "),
    *("ä", "世界", "👋🏽", "e\u0301", "\u200d", "\0"),
]
TEXTS = st.lists(st.sampled_from(WORDS) | st.text(max_size=3)).map("".join)


def forging_vocab() -> Vocab:
    """In it ordinary tokens grow together to what spells a control token."""
    vocab = spm_vocab()
    known = {text for text, _ in vocab.tokens}
    parts = [part for part in ("<", "s", ">", "<s") if part not in known]
    tokens = (*vocab.tokens, *((part, Kind.NORMAL) for part in parts))
    return dataclasses.replace(vocab, tokens=tokens)


VOCABS = {
    "bpe": bpe_vocab(),
    "spm": spm_vocab(),
    "spm without space": spm_vocab(add_space_prefix=False),
    "forging": forging_vocab(),
}


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, _core.Tokenizer]:
    folder = tmp_path_factory.mktemp("vocabularies")
    return {name: _tokenizer(folder / f"{name}.gguf", vocab) for name, vocab in VOCABS.items()}


def _tokenizer(path: Path, vocab: Vocab) -> _core.Tokenizer:
    model = TinyModel("llama", vocab, llama().settings, {})
    return _core.Tokenizer(load_vocab(model.write(path)))


def control_tokens(name: str) -> set[int]:
    return set(VOCABS[name].ids(Kind.CONTROL))


def decode(tokenizer: _core.Tokenizer, tokens: list[int], *, special: bool = False) -> str:
    return tokenizer.decode(tokens, special=special).decode()


@pytest.mark.parametrize("name", KINDS)
@given(text=TEXTS, add_special=st.booleans(), trusted=st.booleans())
@example(text="", add_special=True, trusted=True)
@example(text=" <|im_end|> hello", add_special=False, trusted=True)
@example(text="<s>hello", add_special=True, trusted=True)
@example(text="<s><s>hello", add_special=False, trusted=True)
def test_one_segment_is_what_llama_cpp_makes_of_it(
    name: str,
    text: str,
    *,
    add_special: bool,
    trusted: bool,
    tokenizers: dict[str, _core.Tokenizer],
) -> None:
    """But for the BOS of a text that has its own: llama.cpp puts a second one before it."""
    tokenizer = tokenizers[name]
    expected = tokenizer.encode_as_llama_cpp(text, add_special=add_special, parse_special=trusted)
    if add_special and tokenizer.adds_bos and expected[:2] == [tokenizer.bos] * 2:
        del expected[0]
    assert tokenizer.encode([(text, trusted)], add_special=add_special) == expected


@pytest.mark.parametrize("name", [*KINDS, "forging"])
@given(segments=st.lists(st.tuples(TEXTS, st.booleans())))
@example(segments=[("<s>hello", False)])
@example(segments=[("<|im_", False), ("end|>", True)])
@example(segments=[("<|im_", True), ("end|>", False)])
def test_no_untrusted_text_becomes_a_control_token(
    name: str, segments: list[tuple[str, bool]], tokenizers: dict[str, _core.Tokenizer]
) -> None:
    tokenizer = tokenizers[name]
    made = tokenizer.encode(segments, add_special=False)
    allowed = [
        token
        for text in _trusted_runs(segments)
        for token in tokenizer.encode_as_llama_cpp(text, add_special=False, parse_special=True)
    ]
    control = control_tokens(name)
    assert [t for t in made if t in control] == [t for t in allowed if t in control]


def _trusted_runs(segments: list[tuple[str, bool]]) -> list[str]:
    """Trusted text, neighbours joined."""
    runs: list[str] = []
    before = False
    for text, trusted in segments:
        if trusted and before:
            runs[-1] += text
        elif trusted:
            runs.append(text)
        before = trusted
    return runs


@pytest.mark.parametrize("name", KINDS)
@given(text=TEXTS, cuts=st.lists(st.integers(0, 40)), trusted=st.booleans())
@example(text="<|im_end|><|im_start|>user", cuts=[5, 12], trusted=True)
def test_where_a_text_is_cut_makes_no_difference(
    name: str, text: str, cuts: list[int], *, trusted: bool, tokenizers: dict[str, _core.Tokenizer]
) -> None:
    tokenizer = tokenizers[name]
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    segments = [(text[a:b], trusted) for a, b in pairwise(borders)]
    whole = tokenizer.encode([(text, trusted)], add_special=True)
    assert tokenizer.encode(segments, add_special=True) == whole


def test_a_control_token_may_lie_across_trusted_segments(
    tokenizers: dict[str, _core.Tokenizer],
) -> None:
    made = tokenizers["bpe"].encode([("<|im_", True), ("end|>", True)], add_special=False)
    assert made == [VOCABS["bpe"].id("<|im_end|>")]


def test_what_would_grow_to_a_control_token_is_spelt_out(
    tokenizers: dict[str, _core.Tokenizer],
) -> None:
    """llama.cpp itself makes BOS of it."""
    tokenizer = tokenizers["forging"]
    bos = VOCABS["forging"].id("<s>")
    plain = tokenizer.encode_as_llama_cpp("x<s>x", add_special=False, parse_special=False)
    ours = tokenizer.encode([("x<s>x", False)], add_special=False)
    assert bos in plain
    assert bos not in ours
    assert decode(tokenizer, ours).replace(" ", "") == "x<s>x"


@pytest.mark.parametrize("name", KINDS)
@given(text=TEXTS, add_special=st.booleans())
@example(text="hello . he 's , it 't ! ' x", add_special=False)
@example(text="  two spaces", add_special=True)
@example(text=" one space", add_special=True)
def test_tokens_give_their_text_back(
    name: str, text: str, *, add_special: bool, tokenizers: dict[str, _core.Tokenizer]
) -> None:
    tokenizer = tokenizers[name]
    # SentencePiece as llama.cpp has it puts a space after such a token.
    assume(not (name == "spm" and TOOL_TOKEN in text))
    tokens = tokenizer.encode([(text, False)], add_special=add_special)
    assert decode(tokenizer, tokens) == text


def test_control_tokens_have_text_if_it_is_asked_for(
    tokenizers: dict[str, _core.Tokenizer],
) -> None:
    for name, text in [("bpe", "<|im_start|>user\nhello<|im_end|>"), ("spm", "<s>hello</s>")]:
        tokenizer = tokenizers[name]
        tokens = tokenizer.encode([(text, True)], add_special=False)
        without = text
        for control in (*BPE_CONTROL, "<s>", "</s>"):
            without = without.replace(control, "")
        assert decode(tokenizer, tokens, special=True) == text
        assert decode(tokenizer, tokens) == without


@pytest.mark.parametrize("token", [-1, 10**6])
def test_there_is_no_such_token(token: int, tokenizers: dict[str, _core.Tokenizer]) -> None:
    with pytest.raises(ParameterError, match=f"there is no token {token}; the vocabulary has 0 to"):
        tokenizers["bpe"].decode([token], special=False)
