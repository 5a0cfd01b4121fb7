"""Whatever is passed to whichever public call, there is a result, or an error that says what is wrong.

One argument at a time is exchanged for a value of any type: no crash, no endless work, no error of
the bindings, and none of Python's that comes of our own code.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .any_values import complaint, odd_values, values
from .public_calls import NAMES, Call, open_calls

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a clock ends what takes too long")

SOON_S = 20
EXAMPLES = 15


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Call]]:
    folder = tmp_path_factory.mktemp("calls")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLOCAL_HOME", str(folder / "home"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.chdir(folder)
        patch.setattr("sys.stdin", stack.enter_context(Path(os.devnull).open(encoding="utf-8")))
        yield open_calls(stack, folder)


class TooSlow(BaseException):
    """It was not done in time."""


def _end(_: int, __: FrameType | None) -> None:
    raise TooSlow


def check(call: Call, parameter: str, value: object) -> None:
    raised: BaseException | None = None
    before = signal.signal(signal.SIGALRM, _end)
    signal.setitimer(signal.ITIMER_REAL, SOON_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(parameter, value)
    except (Exception, TooSlow) as error:  # noqa: BLE001 - that is the question
        raised = error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert raised is None or complaint(raised) == ""


@pytest.mark.parametrize("name", NAMES)
def test_each_odd_value(name: str, calls: dict[str, Call]) -> None:
    call = calls[name]
    for parameter in call.parameters:
        for make in odd_values:
            check(call, parameter, make())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value(name: str, calls: dict[str, Call], data: st.DataObject) -> None:
    call = calls[name]
    parameter = data.draw(st.sampled_from(call.parameters))
    check(call, parameter, data.draw(values))
