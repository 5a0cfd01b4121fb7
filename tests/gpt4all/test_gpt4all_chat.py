"""gpt4all's chat sessions over this engine."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from llmlocal.gpt4all import GPT4All

from ..tiny_models import CHAT_TEMPLATE, MODELS
from .conftest import FILE

pytestmark = pytest.mark.usefixtures("folder")


def history(model: GPT4All) -> list[dict[str, Any]] | None:
    return model.current_chat_session


def test_a_session_is_there_inside_of_it_only(model: GPT4All) -> None:
    assert history(model) is None
    with model.chat_session("S") as same:
        assert same is model
        assert history(model) == [{"role": "system", "content": "S"}]
        assert model._current_prompt_template == CHAT_TEMPLATE
    assert history(model) is None
    assert model._current_prompt_template == "{0}"


def test_sessions_can_be_nested(model: GPT4All) -> None:
    with model.chat_session("outer", "A {0}"):
        with model.chat_session("inner", "B {0}"):
            assert model.current_chat_session == [{"role": "system", "content": "inner"}]
        assert model.current_chat_session == [{"role": "system", "content": "outer"}]
        assert model._current_prompt_template == "A {0}"


def test_a_session_ends_with_an_error_too(model: GPT4All) -> None:
    with pytest.raises(LookupError), model.chat_session():
        raise LookupError
    assert model.current_chat_session is None


@pytest.mark.parametrize(
    ("arguments", "template"),
    [
        ({}, CHAT_TEMPLATE),
        ({"system_prompt": "S", "prompt_template": "U {0}"}, "U {0}"),
        ({"prompt_template": ""}, CHAT_TEMPLATE),
        ({"chat_template": "{{ messages }}"}, "{{ messages }}"),
    ],
)
def test_the_template_of_a_session(model: GPT4All, arguments: Any, template: str) -> None:
    with model.chat_session(**arguments):
        assert model._current_prompt_template == template


def test_new_names_have_a_system_entry_only_if_there_is_one(model: GPT4All) -> None:
    with model.chat_session(chat_template=CHAT_TEMPLATE):
        assert model.current_chat_session == []
    with model.chat_session(system_message=False):
        assert model.current_chat_session == []
    with model.chat_session(system_message="S"):
        assert model.current_chat_session == [{"role": "system", "content": "S"}]


def test_names_of_one_thing_are_given_once(model: GPT4All) -> None:
    for arguments in ({"system_prompt": "S"}, {"system_message": "S"}):
        with pytest.raises(TypeError, match="mean the same"), model.chat_session("S", **arguments):
            pass
    with (
        pytest.raises(TypeError, match="mean the same"),
        model.chat_session(None, "{0}", chat_template="{{ messages }}"),
    ):
        pass


def test_an_old_template_is_refused_with_its_old_message(model: GPT4All) -> None:
    with pytest.raises(ValueError, match="literal '%1'"), model.chat_session("", "### %1"):
        pass


def test_the_history_can_be_set_inside_of_a_session(model: GPT4All) -> None:
    history = [{"role": "system", "content": ""}, {"role": "user", "content": "one"}]
    history += [{"role": "assistant", "content": "two"}]
    with pytest.raises(ValueError, match="may only be set when there is an active chat session"):
        model.current_chat_session = history
    with model.chat_session():
        model.current_chat_session = history
        reply = model.generate("three", max_tokens=3, temp=0)
        assert model.current_chat_session is not None
        assert len(model.current_chat_session) == 5
        assert len(history) == 3
        with pytest.raises(ValueError, match="role"):
            model.current_chat_session = [{"content": "x"}]
    prompt = "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>\n<|im_start|>user\nthree"
    tokens = model.llm.tokenize(f"{prompt}<|im_end|>\n<|im_start|>assistant\n", add_special=False)
    assert reply.usage.prompt_tokens in (len(tokens), len(tokens) + 1)


def test_a_later_turn_costs_the_new_text_only(model: GPT4All) -> None:
    for arguments in ({}, {"prompt_template": "USER: {0}\nASSISTANT: "}):
        with model.chat_session(**arguments):
            one = model.generate("hello", max_tokens=10, temp=0)
            two = model.generate("there", max_tokens=10, temp=0)
        assert two.usage.cached_tokens >= one.usage.prompt_tokens
        assert two.usage.prompt_tokens > one.usage.prompt_tokens + 10


def test_the_default_of_old_is_there_for_a_model_without_a_template(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = MODELS["llama"]().changed(without=["tokenizer.chat_template"])
    plain.write(folder / "plain.gguf")
    with GPT4All("plain", n_ctx=512, n_threads=1) as model:
        assert model.config["chatTemplate"] is None
        with pytest.warns(DeprecationWarning, match="no chat template"), model.chat_session():
            model.generate("hi", max_tokens=2)
    assert "### Human: \nhi\n### Assistant:\n" in caplog.text


def test_a_subclass_formats_its_turns(caplog: pytest.LogCaptureFixture) -> None:
    class Shouting(GPT4All):
        def _format_chat_prompt_template(
            self,
            messages: list[dict[str, Any]],
            default_prompt_header: str = "",
            default_prompt_footer: str = "",
        ) -> str:
            text = super()._format_chat_prompt_template(
                messages, default_prompt_header, default_prompt_footer
            )
            return text.upper()

    with (
        Shouting(FILE, n_ctx=512, n_threads=1) as model,
        pytest.warns(DeprecationWarning, match="deprecated"),
        model.chat_session("be", "u: {0}"),
    ):
        model.generate("hi", max_tokens=2)
    assert "BE\n\nU: HI" in caplog.text


def test_the_own_formatter_knows_answers_and_footers(model: GPT4All) -> None:
    with model.chat_session("", "U: {0} "):
        messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        assert model._format_chat_prompt_template(messages, "H", "F") == "H\n\nU: a b\n\n\nF"


def test_the_prompt_is_logged(model: GPT4All, caplog: pytest.LogCaptureFixture) -> None:
    model.generate("the quick", max_tokens=1)
    assert caplog.record_tuples[-1] == (
        "gpt4all.pyllmodel",
        logging.INFO,
        "LLModel.prompt_model -- prompt:\nthe quick\n===/LLModel.prompt_model -- prompt/===",
    )


def test_importing_and_opening_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GPT4All(FILE, n_threads=1, n_ctx=512).close()
