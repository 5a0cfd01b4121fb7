"""Lets a test report what it measured, whether it passes or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Report = Callable[[str], None]

_figures: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Adds a line to the end of the run's output."""
    lines = request.config.stash.setdefault(_figures, [])
    return lambda line: lines.append(f"{request.node.name}: {line}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash.get(_figures, [])
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)
