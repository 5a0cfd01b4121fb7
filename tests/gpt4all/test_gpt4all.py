"""gpt4all's class over this engine: its signatures, defaults, results and exceptions."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import llmlocal.gpt4all
from llmlocal import LLM
from llmlocal.errors import ChecksumError, ModelNotFoundError
from llmlocal.gpt4all import GPT4All, gpt4all, pyllmodel
from llmlocal.gpt4all._formats import DEFAULT_FORMAT

from ..tiny_models import CHAT_TEMPLATE
from .conftest import FILE

pytestmark = pytest.mark.usefixtures("folder")


def test_by_position_as_in_2_2(folder: Path) -> None:
    with GPT4All(FILE, folder, "llama", False, 1, "cpu", 256, 100, False) as model:
        assert (model.llm.n_ctx, model.llm.n_threads, model.model_type) == (256, 1, "llama")


@pytest.mark.parametrize("where", [6, 7])
def test_a_bool_where_verbose_once_was_is_verbose(folder: Path, where: int) -> None:
    arguments: list[Any] = [FILE, str(folder), None, False, 1, "cpu", 512][:where]
    with pytest.warns(DeprecationWarning, match="verbose"), GPT4All(*arguments, False) as model:  # type: ignore[call-arg]  # it counts wrongly
        assert model.llm.n_ctx == (2048 if where == 6 else 512)


def test_by_keyword_as_in_2_8(folder: Path) -> None:
    with GPT4All(
        model_name="tiny",
        model_path=str(folder),
        model_type=None,
        allow_download=False,
        n_threads=None,
        device=None,
        n_ctx=512,
        ngl=0,
        verbose=False,
    ) as model:
        assert (model.backend, model.device) == ("cpu", None)


def test_the_config_has_old_and_new_names(model: GPT4All, folder: Path) -> None:
    assert model.config["systemPrompt"] == model.config["systemMessage"] == ""
    assert model.config["promptTemplate"] == DEFAULT_FORMAT
    assert model.config["chatTemplate"] == CHAT_TEMPLATE
    assert (model.config["path"], model.config["filename"]) == (str(folder / FILE), FILE)
    assert "url" not in model.config


def test_each_model_has_a_config_of_its_own() -> None:
    one, two = GPT4All.retrieve_model(FILE), GPT4All.retrieve_model(FILE)
    one["systemPrompt"] = "changed"
    assert two["systemPrompt"] == ""
    assert GPT4All.retrieve_model(FILE)["systemPrompt"] == ""


def test_a_subclass_may_retrieve_its_models_itself(folder: Path) -> None:
    calls: list[Any] = []

    class Own(GPT4All):
        @staticmethod
        def retrieve_model(  # as an existing plug-in does
            model_name: str,
            model_path: Any = None,
            allow_download: bool = True,
            verbose: bool = False,
        ) -> dict[str, Any]:
            calls.append((model_name, model_path, allow_download, verbose))
            return {"path": str(folder / FILE), "systemPrompt": "", "promptTemplate": "{0}"}

    with Own("any name", allow_download=False, n_threads=1, n_ctx=512) as model:
        assert calls == [("any name", None, False, False)]
        assert model.config["chatTemplate"] == CHAT_TEMPLATE


def test_a_model_without_a_path_is_missing(folder: Path) -> None:
    for kind in (FileNotFoundError, ValueError, ModelNotFoundError):
        with pytest.raises(kind, match=r"Model file does not exist: .*absent\.gguf"):
            GPT4All("absent", allow_download=False)
        with pytest.raises(kind, match="Model directory does not exist"):
            GPT4All(FILE, model_path=folder / "absent")
        with pytest.raises(kind, match="Model file does not exist"):
            GPT4All("absent", model_path=folder, allow_download=False)


def test_a_broken_file_is_an_old_error_too(folder: Path) -> None:
    (folder / "broken.gguf").write_bytes(b"GGUF")
    for kind in (RuntimeError, ValueError):
        with pytest.raises(kind, match="broken"):
            GPT4All("broken", allow_download=False)


def test_a_missing_gpu_is_an_old_error_too() -> None:
    for kind in (RuntimeError, ValueError):
        with pytest.raises(kind, match="no device 'cuda:Best'"):
            GPT4All(FILE, device="cuda:Best")


def test_there_is_no_gpu_here() -> None:
    gpus = GPT4All.list_gpus()
    assert isinstance(gpus, list)
    assert all(":" in gpu for gpu in gpus)


def test_a_model_elsewhere_on_disk_is_found(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "llmlocal" / "models"
    store.mkdir(parents=True)
    (store / "other.gguf").symlink_to((folder / FILE).resolve())
    assert GPT4All.retrieve_model("other", allow_download=False)["path"] == str(
        store / "other.gguf"
    )


def test_the_folder_can_be_set_in_both_modules(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = folder.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        GPT4All.retrieve_model(FILE, allow_download=False)
    monkeypatch.setattr(llmlocal.gpt4all, "DEFAULT_MODEL_DIRECTORY", str(elsewhere))
    assert str(elsewhere) == gpt4all.DEFAULT_MODEL_DIRECTORY
    assert GPT4All.retrieve_model(FILE)["path"] == str(elsewhere / FILE)
    assert str(elsewhere) == llmlocal.gpt4all.DEFAULT_MODEL_DIRECTORY


def test_models_are_listed_without_a_network() -> None:
    models = {model["filename"]: model for model in GPT4All.list_models()}
    orca = models["orca-mini-3b-gguf2-q4_0.gguf"]
    assert orca["url"] == "https://gpt4all.io/models/gguf/orca-mini-3b-gguf2-q4_0.gguf"
    assert (orca["filesize"], orca["ramrequired"], orca["parameters"]) == (
        "1979946720",
        "4",
        "3 billion",
    )
    assert orca["md5sum"] == "0e769317b90ac30d6e09486d61fefa26"


def test_signatures() -> None:
    """What programs pass by position stays in its place."""
    names = list(inspect.signature(GPT4All.generate).parameters)
    assert names[1:12] == [
        *("prompt", "max_tokens", "temp", "top_k", "top_p", "repeat_penalty", "repeat_last_n"),
        *("n_batch", "n_predict", "streaming", "callback"),
    ]
    defaults = {n: p.default for n, p in inspect.signature(GPT4All.generate).parameters.items()}
    assert [defaults[name] for name in names[2:11]] == [200, 0.7, 40, 0.4, 1.18, 64, 8, None, False]
    assert defaults["callback"] is pyllmodel.empty_response_callback
    retrieve = list(inspect.signature(GPT4All.retrieve_model).parameters)
    assert retrieve == ["model_name", "model_path", "allow_download", "verbose"]
    download = list(inspect.signature(GPT4All.download_model).parameters)
    assert download[:4] == ["model_filename", "model_path", "verbose", "url"]


# -- generating ---------------------------------------------------------------------------------


def test_generate_by_position(model: GPT4All) -> None:
    text = model.generate("the quick", 5, 0, 1, 0.4, 1.0, 64, 8, None, False)
    assert isinstance(text, str)
    assert text.usage.completion_tokens == 5


def test_n_predict_is_max_tokens(model: GPT4All) -> None:
    assert (
        model.generate("the quick", max_tokens=9, n_predict=3, temp=0).usage.completion_tokens == 3
    )


def test_a_stream_gives_the_same_text(model: GPT4All) -> None:
    pieces = list(model.generate("the quick", max_tokens=8, temp=0, streaming=True))
    assert "".join(pieces) == model.generate("the quick", max_tokens=8, temp=0)


@pytest.mark.parametrize("falsy", [False, None, 0])
def test_a_falsy_callback_stops(model: GPT4All, falsy: Any) -> None:
    seen: list[str] = []

    def callback(token: int, text: str) -> Any:
        assert isinstance(token, int)
        seen.append(text)
        return True if len(seen) < 3 else falsy

    text = model.generate("the quick", temp=0, callback=callback)
    assert (len(seen), text) == (3, "".join(seen))


def test_a_callback_is_not_told_of_a_token_that_ends_inside_a_character(model: GPT4All) -> None:
    told: list[str] = []

    def callback(_: int, text: str) -> bool:
        told.append(text)
        return bool(text)

    text = model.generate("the quick", temp=2, top_k=0, top_p=1, seed=1, callback=callback)
    assert len(told) < text.usage.completion_tokens == 200
    assert "".join(told) == text


def test_a_stream_does_not_give_what_was_refused_but_the_history_has_it(model: GPT4All) -> None:
    seen: list[str] = []

    def callback(_: int, text: str) -> bool:
        seen.append(text)
        return len(seen) < 3

    with model.chat_session():
        pieces = list(model.generate("hi", temp=0, streaming=True, callback=callback))
        assert pieces == seen[:2]
        messages = model.current_chat_session
        assert messages is not None
        assert messages[-1]["content"] == "".join(seen)


def test_a_callbacks_own_error_is_raised(model: GPT4All) -> None:
    def callback(token: int, text: str) -> bool:  # noqa: ARG001
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        model.generate("the quick", callback=callback)
    with model.chat_session(), pytest.raises(LookupError, match="mine"):
        list(model.generate("the quick", callback=callback, streaming=True))


def test_seeds_and_stops(model: GPT4All) -> None:
    one, two = (model.generate("the quick", max_tokens=8, seed=5, temp=1) for _ in range(2))
    assert (one, one.seed) == (two, 5)
    greedy = model.generate("the quick", max_tokens=8, temp=0)
    assert (
        model.generate("the quick", temp=0, stop=greedy[3:5]) == greedy[: greedy.index(greedy[3:5])]
    )


def test_too_long_a_prompt_is_an_error(model: GPT4All) -> None:
    with pytest.raises(ValueError, match="512"):
        model.generate("word " * 600)


def test_a_closed_model_is_an_error() -> None:
    model = GPT4All(FILE, n_threads=1, n_ctx=512)
    model.close()
    model.close()
    with pytest.raises(ValueError, match="closed"):
        model.generate("hi")


# -- downloads ----------------------------------------------------------------------------------


def test_a_download_goes_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled: list[Any] = []

    def pull(url: str, **options: Any) -> Path:
        pulled.append((url, options))
        path = Path(options["model_path"], url.rpartition("/")[2])
        path.write_bytes(b"x")
        return path

    monkeypatch.setattr("llmlocal.models.pull", pull)
    assert GPT4All.download_model("a.gguf", tmp_path) == str(tmp_path / "a.gguf")
    path = GPT4All.download_model("b.gguf", tmp_path, False, "https://host/c.gguf", 5, bytes(16))
    assert path == str(tmp_path / "b.gguf")
    assert pulled == [
        (
            "https://gpt4all.io/models/gguf/a.gguf",
            {"model_path": tmp_path, "size": None, "md5": None, "progress": None},
        ),
        (
            "https://host/c.gguf",
            {"model_path": tmp_path, "size": 5, "md5": "0" * 32, "progress": False},
        ),
    ]


def test_old_names_of_download_errors() -> None:
    assert issubclass(ChecksumError, ValueError)
    assert issubclass(ChecksumError, RuntimeError)


def test_the_model_itself_can_be_used(model: GPT4All) -> None:
    assert isinstance(model.llm, LLM)
