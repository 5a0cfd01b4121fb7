from __future__ import annotations

from collections.abc import Iterator

import pytest

from .servers import RpcServer


@pytest.fixture(scope="session")
def two_servers() -> Iterator[list[str]]:
    """The addresses of two RPC servers, which live as long as the tests."""
    with RpcServer() as first, RpcServer() as second:
        yield [first.address, second.address]


@pytest.fixture
def server() -> Iterator[RpcServer]:
    """A server of the test's own, to do it harm."""
    with RpcServer() as own:
        yield own
