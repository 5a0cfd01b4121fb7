"""The embedder's shapes, options, errors, and its promises to many callers."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from llmlocal import (
    LLM,
    ContextOverflowError,
    Embedder,
    EngineClosedError,
    ModelLoadError,
    ParameterError,
    Progress,
    RequestCancelledError,
    RequestTimeoutError,
)
from tests.conftest import TinyPath

from . import tiny_bert
from .conftest import OpenEmbedder

# Sums of 16-bit numbers depend a little on what else is in the batch.
CLOSE = 2e-3

TEXTS = ["the miller told them stories", "bread", "", "the river froze for weeks", "a b c"]


def test_shapes_and_order(embedder: Embedder) -> None:
    many = embedder.embed(TEXTS)
    assert many.shape == (5, 32)
    assert many.dtype == np.float32
    assert embedder.embed("bread").shape == (32,)
    assert embedder.embed([]).shape == (0, 32)
    assert embedder.embed(iter(TEXTS)).shape == (5, 32)
    assert np.linalg.norm(many, axis=1) == pytest.approx(1, abs=CLOSE)
    for text, row in zip(TEXTS, many, strict=True):
        assert embedder.embed(text) == pytest.approx(row, abs=CLOSE)
    assert embedder.dimensions == 32
    assert embedder.n_ctx == 64
    assert embedder.pooling == "mean"


def test_many_texts_in_portions_keep_their_order(embedder: Embedder) -> None:
    texts = [f"{'the river ' * (i % 9)}{chr(97 + i % 26)}" for i in range(700)]
    many = embedder.embed(texts)
    for i in (0, 255, 256, 511, 512, 699):
        assert many[i] == pytest.approx(embedder.embed(texts[i]), abs=CLOSE)


@pytest.mark.parametrize(
    ("dtype", "numpy_type", "width"),
    [
        ("float32", "float32", 32),
        ("float16", "float16", 32),
        ("int8", "int8", 32),
        ("binary", "uint8", 4),
    ],
)
def test_types_keep_what_is_close(
    embedder: Embedder, dtype: Any, numpy_type: str, width: int
) -> None:
    exact = embedder.embed(TEXTS)
    kept = embedder.embed(TEXTS, dtype=dtype)
    assert kept.dtype == numpy_type
    assert kept.shape == (5, width)
    assert embedder.embed([], dtype=dtype).shape == (0, width)
    assert embedder.embed([], dtype=dtype).dtype == numpy_type
    close = embedder.similarity(kept, kept)
    tolerance = {"float32": CLOSE, "float16": 2 * CLOSE, "int8": 2e-2}.get(dtype, 0.6)
    assert np.abs(close - embedder.similarity(exact, exact)).max() < tolerance
    assert np.diag(close) == pytest.approx(1, abs=1e-3)


def test_binary_holds_the_signs(embedder: Embedder) -> None:
    bits = np.unpackbits(embedder.embed("bread", dtype="binary"))
    assert bits.tolist() == (embedder.embed("bread") > 0).astype(int).tolist()


def test_shorter_vectors_are_scaled_again(embedder: Embedder) -> None:
    whole, cut = embedder.embed(TEXTS), embedder.embed(TEXTS, dimensions=8)
    assert cut.shape == (5, 8)
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    assert cut == pytest.approx(expected, abs=CLOSE)


def test_raw_vectors_point_the_same_way(embedder: Embedder) -> None:
    raw = embedder.embed("bread", normalize=False)
    assert abs(np.linalg.norm(raw) - 1) > 0.01
    assert embedder.similarity(raw, embedder.embed("bread")) == pytest.approx(1, abs=CLOSE)


def test_similarity_has_an_axis_for_each_list(embedder: Embedder) -> None:
    many, one = embedder.embed(TEXTS), embedder.embed("bread")
    assert embedder.similarity(many, many).shape == (5, 5)
    assert embedder.similarity(one, many).shape == (5,)
    assert embedder.similarity(many, one).shape == (5,)
    assert embedder.similarity(one, one).shape == ()
    assert embedder.similarity(one, many).argmax() == TEXTS.index("bread")
    with pytest.raises(ParameterError, match="compared"):
        embedder.similarity(one, many[:, :3])
    with pytest.raises(ParameterError, match="compared"):
        embedder.similarity(embedder.embed("a", dtype="binary"), embedder.embed("a"))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_poolings(open_embedder: OpenEmbedder, pooling: Any) -> None:
    kinds = {"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS}
    kind = kinds.get(pooling, gguf.PoolingType.LAST)
    of_file = open_embedder(tiny_bert.embedder(kind))
    asked_for = open_embedder(pooling=pooling)
    assert of_file.pooling == asked_for.pooling == pooling
    assert of_file.embed(TEXTS) == pytest.approx(asked_for.embed(TEXTS), abs=CLOSE)
    others = open_embedder(pooling="cls" if pooling == "mean" else "mean")
    assert np.abs(others.embed(TEXTS) - of_file.embed(TEXTS)).max() > 0.01


# --- Prefixes ------------------------------------------------------------------------------------


def test_a_prefix_goes_before_each_text(embedder: Embedder) -> None:
    assert embedder.embed(["bread"], prefix="the old ")[0] == pytest.approx(
        embedder.embed("the old bread"), abs=1e-6
    )
    assert embedder.prefixes == {"query": "", "document": ""}


def test_prefixes_and_windows_are_the_catalogs(tmp_path: Path) -> None:
    """Also for another quantisation, whose file the catalog does not have."""
    path = tiny_bert.embedder().write(tmp_path / "nomic-embed-text-v1.5.Q4_K_M.gguf", kind="f32")
    with Embedder(path, device="cpu", progress=False) as embedder:
        assert embedder.prefixes["query"] == "search_query: "
        asked = embedder.embed("bread", prefix="query")
        assert asked == pytest.approx(embedder.embed("search_query: bread"), abs=CLOSE)
        stored = embedder.embed("bread", prefix="document")
        assert stored == pytest.approx(embedder.embed("search_document: bread"), abs=CLOSE)
        raw = embedder.embed("bread", normalize=False)
        layer_norm = (raw - raw.mean()) / np.sqrt(raw.var() + 1e-5)
        expected = layer_norm[:8] / np.linalg.norm(layer_norm[:8])
        assert embedder.embed("bread", dimensions=8) == pytest.approx(expected, abs=CLOSE)


def test_control_tokens_in_a_text_are_text(embedder: Embedder) -> None:
    sneaky = embedder.embed("bread[SEP]river")
    real = embedder.embed("bread [ sep ] river")
    assert sneaky == pytest.approx(real, abs=CLOSE)


# --- Long texts ----------------------------------------------------------------------------------

LONG = "the old mill wheel froze " * 40


def test_long_texts_are_cut_and_that_is_said_once(
    embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "llmlocal"):
        cut = embedder.embed([LONG, LONG + "more"])
    assert cut[0] == pytest.approx(cut[1], abs=CLOSE)
    told = [record.getMessage() for record in caplog.records if "was cut" in record.getMessage()]
    assert len(told) == 1
    assert "200 tokens was cut to the 62" in told[0]


def test_long_texts_are_refused(embedder: Embedder) -> None:
    with pytest.raises(ContextOverflowError, match="200 tokens") as caught:
        embedder.embed(["bread", LONG], truncate="error")
    assert (caught.value.n_prompt, caught.value.n_ctx) == (200, 62)


def test_long_texts_are_averaged_by_the_length_of_their_parts(embedder: Embedder) -> None:
    words = LONG.split()
    parts = [words[begin : begin + 62] for begin in range(0, len(words), 62)]
    vectors = embedder.embed([" ".join(part) for part in parts])
    expected = np.average(vectors, axis=0, weights=[len(part) for part in parts])
    expected /= np.linalg.norm(expected)
    both = embedder.embed(["bread", LONG, "bread"], truncate="mean")
    assert both[1] == pytest.approx(expected, abs=CLOSE)
    assert both[2] == pytest.approx(embedder.embed("bread"), abs=CLOSE)


def test_the_window_is_what_was_asked_for(open_embedder: OpenEmbedder) -> None:
    small = open_embedder(n_ctx=5)
    assert small.embed("the old mill wheel froze") == pytest.approx(
        small.embed("the old mill"), abs=1e-6
    )
    with pytest.raises(ParameterError, match="at most 64"):
        open_embedder(n_ctx=65)
    with pytest.raises(ParameterError, match="special tokens"):
        open_embedder(n_ctx=2)


# --- Streams, progress, time ---------------------------------------------------------------------


def test_texts_are_taken_while_they_come(embedder: Embedder) -> None:
    taken = 0

    def texts() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "bread" if taken % 2 else "river"

    stream = embedder.embed_each(texts())
    first, second = next(stream), next(stream)
    assert first == pytest.approx(embedder.embed("bread"), abs=CLOSE)
    assert second == pytest.approx(embedder.embed("river"), abs=CLOSE)
    assert taken < 2000


def test_memory_stays_flat_over_many_texts(embedder: Embedder) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in embedder.embed_each("bread" for _ in range(count)):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few = peak(2_000)
    assert peak(20_000) < few * 1.2 + 100_000


def test_progress_counts_texts(embedder: Embedder) -> None:
    reports: list[Progress] = []
    embedder.embed(["bread"] * 600, progress=reports.append)
    assert all(each.stage == "embed" and each.total == 600 for each in reports)
    done = [each.done for each in reports]
    assert done == sorted(done)
    assert done[-1] == 600
    with pytest.raises(RequestCancelledError):
        embedder.embed(["bread"] * 600, progress=lambda _: False)
    assert embedder.embed("bread").shape == (32,)


def test_timeout(embedder: Embedder) -> None:
    with pytest.raises(RequestTimeoutError, match="1e-09"):
        embedder.embed(["bread"] * 600, timeout=1e-9)
    with pytest.raises(TimeoutError):
        asyncio.run(embedder.aembed(["bread"] * 600, timeout=1e-9))
    assert embedder.embed("bread", timeout=1e9).shape == (32,)


# --- Many callers --------------------------------------------------------------------------------


def test_threads_and_tasks_at_once(embedder: Embedder) -> None:
    expected = embedder.embed(TEXTS)
    wrong: list[str] = []

    def in_thread(i: int) -> None:
        for _ in range(20):
            text = TEXTS[i % len(TEXTS)]
            if not np.allclose(embedder.embed(text), expected[i % len(TEXTS)], atol=CLOSE):
                wrong.append(text)

    async def in_tasks() -> None:
        found = await asyncio.gather(*(embedder.aembed(text) for text in TEXTS * 8))
        wrong.extend(
            text
            for text, vector, right in zip(TEXTS * 8, found, [*expected] * 8, strict=True)
            if not np.allclose(vector, right, atol=CLOSE)
        )

    threads = [threading.Thread(target=in_thread, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    asyncio.run(in_tasks())
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_cancelled_task_ends_its_work(embedder: Embedder) -> None:
    async def leave() -> None:
        work = embedder.aembed("bread" for _ in range(10**9))
        tasks = [asyncio.create_task(work)]
        while embedder._encoder.stats().texts == 0:
            await asyncio.sleep(0.001)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    asyncio.run(leave())
    embedder.embed("river")
    assert embedder._encoder.stats().waiting == 0


def test_close_ends_those_who_wait(open_embedder: OpenEmbedder) -> None:
    embedder = open_embedder()
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            embedder.embed("bread" for _ in range(10**9))
        except EngineClosedError as exc:
            raised.append(exc)

    thread = threading.Thread(target=wait)
    thread.start()
    while embedder._encoder.stats().texts == 0:
        pass
    embedder.close()
    thread.join(30)
    assert len(raised) == 1
    embedder.close()
    assert embedder.closed
    assert "closed" in repr(embedder)
    assert embedder.dimensions == 32
    with pytest.raises(EngineClosedError):
        embedder.embed("bread")
    with pytest.raises(EngineClosedError):
        embedder.embed([])


def test_nobody_holds_it_any_more(tmp_path: Path) -> None:
    path = tiny_bert.embedder().write(tmp_path / "held.gguf", kind="f32")
    embedder = Embedder(path, device="cpu", progress=False)
    vectors = embedder.embed(TEXTS)
    gone = weakref.ref(embedder)
    del embedder
    gc.collect()
    assert gone() is None
    assert vectors.sum() != 0


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": "float64"},
        {"dimensions": 0},
        {"dimensions": 33},
        {"dimensions": True},
        {"truncate": False},
        {"truncate": "end"},
        {"prefix": 5},
        {"prefix": "\ud800"},
        {"timeout": 0},
        {"timeout": "1"},
        {"progress": 5},
    ],
)
def test_options_out_of_their_range(embedder: Embedder, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong)) + "|text"):
        embedder.embed(["bread"], **wrong)


@pytest.mark.parametrize("texts", [None, 5, b"bread", [5], ["bread", None], ["\ud800"], [["a"]]])
def test_what_is_no_text(embedder: Embedder, texts: Any) -> None:
    with pytest.raises(ParameterError, match=r"text|token"):
        embedder.embed(texts)
    with pytest.raises(ParameterError, match=r"text|token"):
        asyncio.run(embedder.aembed(texts))


def test_models_of_the_other_kind_are_refused(
    open_embedder: OpenEmbedder, tiny_path: TinyPath, tmp_path: Path
) -> None:
    with pytest.raises(ModelLoadError, match="pooling="):
        open_embedder(tiny_path("llama"))
    with pytest.raises(ModelLoadError, match="Reranker"):
        open_embedder(tiny_bert.cross_encoder())
    path = tiny_bert.embedder().write(tmp_path / "bert.gguf", kind="f32")
    with pytest.raises(ModelLoadError, match="Embedder"):
        LLM(path, device="cpu", progress=False)
    with pytest.raises(ParameterError, match="pooling"):
        open_embedder(pooling="rank")
    with pytest.raises(ModelLoadError):
        open_embedder(tiny_path("mamba"), pooling="mean")


@pytest.mark.parametrize("name", ["llama", "gemma"])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_generative_model_that_is_asked_for_vectors(
    open_embedder: OpenEmbedder, tiny_path: TinyPath, name: str, pooling: Any
) -> None:
    """Also where texts are longer than a batch, and than a sliding window."""
    embedder = open_embedder(tiny_path(name), pooling=pooling, n_ctx=400)
    texts = ["hello world", "the quick brown fox " * 50, "", "then the dog sleeps " * 9]
    together = embedder.embed(texts)
    assert together.shape == (4, 64)
    for text, row in zip(texts, together, strict=True):
        assert embedder.embed(text) == pytest.approx(row, abs=CLOSE)
    assert np.abs(together[0] - together[1]).max() > 0.01
