"""What is written down here a second time, because llama.cpp's interface does not tell it.

Each figure is compared with the pinned source; CONTRIBUTING.md lists the files that hold them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llmlocal._devices import _placement
from llmlocal._generation import _generator, _options
from llmlocal.models._gguf import _cache_cost, _memory

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "third_party" / "llama.cpp" / "src"

pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="the pinned source is not unpacked")


def figure(file: str, pattern: str) -> int:
    found = re.search(pattern, (SOURCE / file).read_text(encoding="utf-8"))
    assert found, f"{file} no longer has {pattern}"
    return int(found[1])


@pytest.mark.parametrize(
    ("ours", "file", "pattern"),
    [
        (
            _placement._MOST_DEVICES,
            "src/llama.cpp",
            r"llama_max_devices\(void\) \{\s*return (\d+);",
        ),
        (_generator._MOST_PARALLEL, "src/llama-cparams.h", r"#define LLAMA_MAX_SEQ (\d+)"),
        (_generator._MOST_THREADS, "ggml/include/ggml.h", r"#define GGML_MAX_N_THREADS +(\d+)"),
        (_cache_cost.MAX_LAYERS, "src/llama-hparams.h", r"#define LLAMA_MAX_LAYERS +(\d+)"),
        (
            _memory.CELL_PADDING,
            "src/llama-context.cpp",
            r"n_ctx_seq = GGML_PAD\(cparams\.n_ctx_seq, (\d+)\);",
        ),
    ],
)
def test_limits(ours: int, file: str, pattern: str) -> None:
    assert ours == figure(file, pattern)


def models() -> str:
    return "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((SOURCE / "src/models").glob("*.cpp"))
    )


@pytest.mark.parametrize("architecture", sorted(_cache_cost._WINDOW_PATTERNS))
def test_window_patterns(architecture: str) -> None:
    """Of so many layers all but one see a window: the default that each architecture has."""
    period = _cache_cost._WINDOW_PATTERNS[architecture]
    name = {"gpt-oss": "openai-moe"}.get(architecture, architecture)
    text = (SOURCE / "src/models" / f"{name}.cpp").read_text(encoding="utf-8")
    periods = {int(n) for n in re.findall(r"swa_pattern\((?:ml, )?(\d+)", text)}
    periods |= {int(n) for n in re.findall(r"swa_(?:period|pattern)\s*=\s*(\d+)", text)}
    assert period in periods


def test_recommended_sampling() -> None:
    """The header's names for sampling options."""
    text = (SOURCE / "src/llama-arch.cpp").read_text(encoding="utf-8")
    known = set(re.findall(r'"general\.sampling\.(\w+)"', text))
    assert set(_options._RECOMMENDATIONS.values()) == known - {"sequence"}


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("src/llama-model.cpp", "model buffer size"),
        ("src/llama-kv-cache.cpp", "KV buffer size"),
        ("src/llama-memory-recurrent.cpp", "RS buffer size"),
        ("src/llama-context.cpp", "compute buffer size"),
        ("src/llama-context.cpp", "output buffer size"),
    ],
)
def test_log_lines_that_tell_sizes(file: str, kind: str) -> None:
    """``buffer_sizes.cpp`` reads them."""
    text = (SOURCE / file).read_text(encoding="utf-8")
    assert re.search(rf'"%s: +%\d+s +{kind} = *%8\.2f MiB', text)


def test_the_page_on_the_pin_names_files_that_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^|]*)` \|[^|]*\|([^|]*)\|$", page, re.MULTILINE)
    assert len(rows) > 10
    named = [
        name
        for row in rows
        for name in re.findall(r"[\w/.-]*[/_][\w/.-]*\.(?:py|cpp|h)\b", " ".join(row))
    ]
    missing = [
        name
        for name in named
        if not any((base / name).is_file() for base in (ROOT, ROOT / "src", ROOT / "src/llmlocal"))
    ]
    assert missing == []
