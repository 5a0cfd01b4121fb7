"""What the README and the guides show works: their examples run, their commands and links exist."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import llmlocal
from llmlocal.cli import _parser
from llmlocal.server import create_app

from .conftest import TinyPath
from .embeddings.tiny_bert import embedder
from .server.conftest import serving

ROOT = Path(__file__).parents[1]
GUIDES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

pytestmark = pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="the guides are not here")

# The examples run unchanged. But their names stand for a tiny model, which never ends an answer by
# itself and would fill the context with the first one of a chat.
BEGIN = """
import logging
import sys
import llmlocal
import llmlocal._embedder
import llmlocal._llm
from llmlocal.gpt4all import gpt4all

class LLM(llmlocal.LLM):
    def __init__(self, model, **_):
        assert model in [card.name for card in llmlocal.models.catalog()]
        super().__init__(sys.argv[1], allow_download=False)
    def chat(self, *args, **options):
        return super().chat(*args, **options | {"max_tokens": 20})
    def chat_session(self, *args, **options):
        return super().chat_session(*args, **options | {"max_tokens": 20})

class Embedder(llmlocal.Embedder):
    def __init__(self, model, **_):
        assert model in [card.name for card in llmlocal.models.catalog()]
        super().__init__(sys.argv[3], allow_download=False)

# What the tiny ones warn of, such as a text beyond their 64 tokens, the real ones do not.
logging.getLogger("llmlocal").setLevel(logging.ERROR)
llmlocal.LLM = llmlocal._llm.LLM = LLM
llmlocal.Embedder = llmlocal._embedder.Embedder = Embedder
gpt4all.DEFAULT_MODEL_DIRECTORY = sys.argv[2]
"""


def examples() -> Iterator[tuple[str, str]]:
    for guide in GUIDES:
        text = guide.read_text(encoding="utf-8")
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL), 1):
            yield f"{guide.name}-{number}", code


def shown_commands() -> list[str]:
    """The lines of shell that call llmlocal."""
    return [
        line.strip()
        for guide in GUIDES
        for line in guide.read_text(encoding="utf-8").splitlines()
        if line.startswith("    llmlocal ")
    ]


def named_commands() -> set[str]:
    """The commands that running text names, as in "`llmlocal models`, `pull`, `show`"."""
    found = set()
    for guide in GUIDES:
        text = guide.read_text(encoding="utf-8")
        for first, others in re.findall(r"`llmlocal ([a-z-]+)[^`]*`((?:,\s+`[a-z-]+`)*)", text):
            found |= {first, *re.findall(r"`([a-z-]+)`", others)}
    return found


def commands() -> set[str]:
    group = next(
        action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return set(group.choices)


EXAMPLES = dict(examples())


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_whole_programs_stand_where_they_are_run(guide: Path) -> None:
    """Between ```python and ```; ```py is for those that need Ray."""
    text = guide.read_text(encoding="utf-8")
    others = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    assert all("import ray" in code for code in others)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^ {4}(?:from \w+ )?import .*$", rest, re.MULTILINE) == []


def test_there_are_examples() -> None:
    assert {name.rpartition("-")[0] for name in EXAMPLES} >= {"README.md", "chat.md"}
    assert len(shown_commands()) > 5


SERVED = "http://127.0.0.1:8080"


@pytest.fixture
def address(tiny_path: TinyPath) -> Iterator[str]:
    """Where a server answers to the names of the examples."""
    pool = llmlocal.ModelPool({"smollm2-135m-instruct": tiny_path("llama")}, n_ctx=256)
    with pool, serving(create_app(pool)) as served:
        yield served.url


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(
    name: str, tiny_path: TinyPath, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    example = EXAMPLES[name]
    for file in re.findall(r'"(.*?\.gguf)"', example):
        (tmp_path / file).symlink_to(tiny_path("llama"))
    if SERVED in example:
        example = example.replace(SERVED, request.getfixturevalue("address"))
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-c", BEGIN + example),
            *(tiny_path("llama"), tmp_path, embedder().write(tmp_path / "embedder", kind="f32")),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() or "print" not in example


@pytest.mark.parametrize("line", shown_commands())
def test_a_command_is_one(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert _parser().parse_args(words[1:]).run


def test_all_commands_are_shown_and_exist() -> None:
    shown = {shlex.split(line, comments=True)[1] for line in shown_commands()}
    assert shown | named_commands() == commands()


def test_what_a_completion_carries() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE))
    completion = llmlocal.Completion("")
    top = {name.partition(".")[0] for name in rows}
    assert top == set(vars(completion))
    usage = {name.partition(".")[2] for name in rows if name.startswith("usage.")}
    assert usage == set(vars(completion.usage))
    assert set(re.findall(r"`(\w+)`", rows["timings"])) == set(vars(completion.timings))


def test_the_options_in_the_guide_are_all_there_are() -> None:
    text = (ROOT / "docs/generate.md").read_text(encoding="utf-8")
    cells = re.findall(
        r"^\| (.*?) \|", text.partition("## Options")[2].partition("##")[0], re.MULTILINE
    )
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    options = set(llmlocal.Options.__annotations__)
    assert named <= options
    # A name with dots after it stands for the rest of its family.
    families = {name.partition("_")[0] for name in re.findall(r"`(\w+)`, \.\.\.", "".join(cells))}
    left = {name for name in options - named if name.partition("_")[0] not in families}
    assert left == {"repeat_last_n"}  # In the text of the penalties' row.


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_links_and_scripts_lead_somewhere(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    scripts = re.findall(r"^    ((?:scripts|\.ci)/\w+)", text, re.MULTILINE)
    assert [link for link in links if not (guide.parent / link).exists()] == []
    assert [name for name in scripts if not os.access(ROOT / name, os.X_OK)] == []
