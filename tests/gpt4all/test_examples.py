"""Every example of gpt4all's documentation runs, unchanged but for the import."""

from __future__ import annotations

import ast
import logging
import re
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest

from llmlocal import Completion
from llmlocal.gpt4all import GPT4All, gpt4all

from ..real_models import real_model

pytestmark = pytest.mark.real_model

TEXT = (Path(__file__).parent / "examples.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## (.+?)\n\n```py\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
IMPORTS = {
    "from gpt4all import": "from llmlocal import",
    "import gpt4all.gpt4all": "from llmlocal import gpt4all",
}
DEFAULT_TEMPLATE = "### Human: \n{0}\n### Assistant:\n"

Run = Callable[[str], dict[str, Any]]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs an example where its models are in gpt4all's folder, and there is no network."""
    folder = tmp_path / ".cache" / "gpt4all"
    folder.mkdir(parents=True)
    file = real_model("smollm2-135m-instruct")
    for name in set(re.findall(r"""['"]([\w.-]+\.(?:gguf|bin))['"]""", TEXT)):
        (folder / name).symlink_to(file)
    for other in ("AppData/Local/nomic.ai/GPT4All", "my/models-directory"):
        (tmp_path / other).parent.mkdir(parents=True)
        (tmp_path / other).symlink_to(folder)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(gpt4all, "DEFAULT_MODEL_DIRECTORY", folder)
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    opened: list[GPT4All] = []

    def run_example(name: str) -> dict[str, Any]:
        source = EXAMPLES[name]
        for old, new in IMPORTS.items():
            source = source.replace(old, new)
        names: dict[str, Any] = {}
        exec(compile(source, name, "exec"), names)  # noqa: S102  # what the test is about
        opened.append(names["model"])
        return names

    yield run_example
    for model in opened:
        model.close()


@pytest.mark.usefixtures("run")
def test_the_guides_example_runs(capsys: Output) -> None:
    guide = Path(__file__).parents[2] / "docs" / "gpt4all-migration.md"
    (source,) = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    (name,) = re.findall(r"[\w.-]+\.gguf", source)
    Path(gpt4all.DEFAULT_MODEL_DIRECTORY, name).symlink_to(real_model("smollm2-135m-instruct"))
    names: dict[str, Any] = {}
    exec(compile(source, str(guide), "exec"), names)  # noqa: S102  # what the test is about
    names["model"].close()
    assert capsys.readouterr().out.strip()


def _refuse(*_: object) -> NoReturn:
    raise AssertionError("there is no network")


def roles(history: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in history]


def prompts(log: pytest.LogCaptureFixture) -> list[str]:
    records = [record for record in log.records if record.name == "gpt4all.pyllmodel"]
    assert all(record.levelno == logging.INFO for record in records)
    return [
        record.getMessage()
        .removeprefix("LLModel.prompt_model -- prompt:\n")
        .removesuffix("\n===/LLModel.prompt_model -- prompt/===")
        for record in records
    ]


def test_all_examples_are_tested() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert len(EXAMPLES) == 12
    assert all(f'run("{name}")' in source for name in EXAMPLES)


def test_quickstart(run: Run, capsys: Output) -> None:
    output = run("quickstart")["output"]
    assert isinstance(output, Completion)
    assert output.usage.completion_tokens == 3
    assert capsys.readouterr().out == f"{output}\n"


def test_chat_session(run: Run, capsys: Output, caplog: pytest.LogCaptureFixture) -> None:
    names = run("chat session")

    history = ast.literal_eval(capsys.readouterr().out)
    assert roles(history) == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    said = [message["content"] for message in history[1:]]
    assert said == [
        "hello",
        names["response1"],
        "write me a short poem",
        names["response2"],
        "thank you",
        names["response3"],
    ]
    assert all(said)
    assert names["model"].current_chat_session is None
    sent = prompts(caplog)
    assert sent[0].endswith("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")
    assert sent[1].endswith(
        "<|im_start|>user\nwrite me a short poem<|im_end|>\n<|im_start|>assistant\n"
    )
    assert "hello" not in sent[1]
    usages = [names[f"response{i}"].usage for i in (1, 2, 3)]
    for before, after in pairwise(usages):
        assert after.cached_tokens >= before.prompt_tokens + before.completion_tokens - 1


def test_streaming(run: Run, capsys: Output) -> None:
    tokens = run("streaming")["tokens"]
    assert len(tokens) == 20
    assert ast.literal_eval(capsys.readouterr().out) == tokens
    assert "".join(tokens).strip()


@pytest.mark.parametrize(
    "name", ["model folder", "folder of the chat application", "default folder"]
)
def test_folders(run: Run, name: str) -> None:
    # run("model folder"), run("folder of the chat application"), run("default folder")
    model = run(name)["model"]
    assert Path(model.config["path"]).name == "orca-mini-3b-gguf2-q4_0.gguf"
    assert model.generate("hello", max_tokens=1).usage.completion_tokens == 1


def test_the_folder_that_was_set_is_used(run: Run, tmp_path: Path) -> None:
    assert run("default folder")["model"].config["path"].startswith(str(tmp_path / "my"))


def test_session_templates(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    names = run("session templates")
    system = "A chat between a curious user and an artificial intelligence assistant."
    assert prompts(caplog) == [
        f"{system}\n\nUSER: why is the grass green?\nASSISTANT: ",
        "USER: why is the sky blue?\nASSISTANT: ",
    ]
    first, second = names["response1"].usage, names["response2"].usage
    assert second.prompt_tokens > first.prompt_tokens + first.completion_tokens
    assert second.cached_tokens >= first.prompt_tokens


def test_templates_outside_a_session(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    names = run("templates outside a session")
    assert prompts(caplog) == [
        names["first_input"],
        "USER: now name 3 fruits\nASSISTANT: ",
        "USER: what were the 3 colors in your earlier response?\nASSISTANT: ",
    ]
    assert names["response"].usage.prompt_tokens < 40


@pytest.mark.filterwarnings("ignore:formatting the turns in _format_chat_prompt_template")
def test_templates_of_a_subclass(
    run: Run, capsys: Output, caplog: pytest.LogCaptureFixture
) -> None:
    names = run("templates of a subclass")
    expected = [
        "USER: hi, who are you? Respond like a pirate.\n",
        "USER: what can you tell me about snakes? Respond like a politician.\n",
        "USER: what's your opinion on Chess? Respond like a philosopher.\n",
        "USER: tell me about ancient Rome. Respond like a Klingon.\n",
    ]
    assert prompts(caplog) == expected
    output = capsys.readouterr().out
    assert all(output.count(f"{prompt}\n") == 1 for prompt in expected)
    assert names["response4"].usage.cached_tokens >= names["response3"].usage.prompt_tokens


def test_introspection(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run("introspection")
    texts = [r.getMessage() for r in caplog.records if r.name == "gpt4all.pyllmodel"]
    assert texts == [
        f"LLModel.prompt_model -- prompt:\n{prompt}\n===/LLModel.prompt_model -- prompt/==="
        for prompt in (
            "You are a geography expert.\nBe terse.\n\n### Instruction:\nwho are you?\n### Response:\n",
            "### Instruction:\nwhat are your favorite 3 mountains?\n### Response:\n",
        )
    ]


def test_without_a_network(run: Run, capsys: Output) -> None:
    model = run("without a network")["model"]
    assert capsys.readouterr().out.splitlines()[:3] == [
        "default system template: ''",
        f"default prompt template: {DEFAULT_TEMPLATE!r}",
        "",
    ]
    assert model.current_chat_session is None


def test_interrupting(run: Run, capsys: Output) -> None:
    names = run("interrupting")
    response = names["response"]
    assert capsys.readouterr().out == f"{response}\n"
    assert response.finish_reason == "cancelled"
    before, full_stop, after = response.partition(".")
    assert before
    assert full_stop
    assert not after.strip(".\n\"' ")  # what else the last token may hold
    seen: list[str] = []

    def until_a_full_stop(_: int, text: str) -> bool:
        seen.append(text)
        return "." not in text

    # The prompt is in the cache now, so the last bits of the logits, and the text, may differ.
    again = names["model"].generate(
        "Blue Whales are the biggest animal to ever inhabit the Earth.",
        temp=0,
        callback=until_a_full_stop,
    )
    assert again == "".join(seen)
    assert [text for text in seen if "." in text] == seen[-1:]
