from __future__ import annotations

import pytest

from llmlocal import ParameterError
from llmlocal._devices._rpc import STALL_VARIABLE, Address, parse_servers, stall_limit


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.5:50052", "10.0.0.5", 50052),
        ("gpu-box:1", "gpu-box", 1),
        (" gpu-box ", "gpu-box", 50052),
        ("[fe80::1]:65535", "fe80::1", 65535),
        ("[::1]", "::1", 50052),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_servers([text]) == [Address(host, port)]


@pytest.mark.parametrize(
    "text", ["", ":50052", "host:0", "host:65536", "host:port", "a:1:2", "host:-1", "host:²"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ParameterError, match="is not an address such as"):
        parse_servers([text])


def test_one_address_is_not_a_list() -> None:
    with pytest.raises(ParameterError, match="must be a list"):
        parse_servers("10.0.0.5:50052")


def test_a_server_counts_once() -> None:
    with pytest.raises(ParameterError, match="twice"):
        parse_servers(["host", "host:50052"])


def test_the_text_of_an_address_can_be_read_again() -> None:
    for address in (Address("::1", 7), Address("host", 8)):
        assert parse_servers([str(address)]) == [address]


def test_the_limit_for_silence_is_two_minutes_or_what_the_environment_says() -> None:
    assert stall_limit({}) == 120
    assert stall_limit({STALL_VARIABLE: "1.5"}) == 1.5


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_a_limit_that_is_none(text: str) -> None:
    with pytest.raises(ParameterError, match=STALL_VARIABLE):
        stall_limit({STALL_VARIABLE: text})
