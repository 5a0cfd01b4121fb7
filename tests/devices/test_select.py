"""Every row of the table in docs/devices.md, and what the table has no room for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from llmlocal import Device, DeviceError
from llmlocal._devices._choice import _numbered, select, wants_gpus
from llmlocal._devices._plugins import Skipped

from .machines import MACHINES

PAGE = Path(__file__).parents[2] / "docs" / "devices.md"
ROW = re.compile(
    r"^\| `(?P<wanted>.+?)` \| (?P<machine>[^|]+?) \| (?P<result>.+?) \|$", re.MULTILINE
)


def rows(*, errors: bool) -> list[tuple[str, str, str]]:
    found = [
        (row["wanted"], row["machine"], row["result"])
        for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))
        if row["machine"] in MACHINES
    ]
    return [row for row in found if row[2].startswith("error: ") is errors]


def test_the_table_names_only_machines_that_are_tested_and_uses_all_of_them() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| `device=` |") : text.index("\n\nIn words")]
    lines = table.splitlines()[2:]
    assert len(lines) == len(rows(errors=True)) + len(rows(errors=False))
    assert {machine for _, machine, _ in rows(errors=False) + rows(errors=True)} == set(MACHINES)


@pytest.mark.parametrize(("wanted", "machine", "chosen"), rows(errors=False))
def test_what_is_chosen(wanted: str, machine: str, chosen: str) -> None:
    choice = select(ast.literal_eval(wanted), MACHINES[machine])
    assert f"`{choice.device}`" == chosen


@pytest.mark.parametrize(("wanted", "machine", "error"), rows(errors=True))
def test_what_is_refused(wanted: str, machine: str, error: str) -> None:
    with pytest.raises(DeviceError, match=re.escape(error.removeprefix("error: "))):
        select(ast.literal_eval(wanted), MACHINES[machine])


def test_case_and_blanks_do_not_matter() -> None:
    assert select(" Cuda:1 ", MACHINES["two NVIDIA cards"]).device == "CUDA1"


def test_an_error_lists_everything_there_is() -> None:
    available = MACHINES["two NVIDIA cards"]
    with pytest.raises(DeviceError) as raised:
        select("vulkan", available)
    for each in available:
        assert f"{each.name} ({each.description})" in str(raised.value)


def test_an_error_says_why_a_backend_is_not_there() -> None:
    problem = Skipped("llmlocal-cuda", "libcuda.so.1: cannot open shared object file")
    with pytest.raises(DeviceError, match=r"llmlocal-cuda: libcuda\.so\.1"):
        select("cuda", MACHINES["a CPU alone"], [problem])


def test_only_auto_may_be_answered_with_less() -> None:
    cards = MACHINES["two NVIDIA cards"]
    assert not select("auto", cards).is_named
    assert select("gpu", cards).is_named
    assert select(["cuda:0", "cuda:1"], cards).is_named


def test_a_vendors_name_is_a_word_of_its_own() -> None:
    search = [Device("Vulkan0", "vulkan", 0, "SearchCard 1", "gpu", 0, 0, None)]
    with pytest.raises(DeviceError, match="no device 'intel' here"):
        select("intel", search)  # "arc" is in "search"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("cpu", False),
        (" CPU ", False),
        (["cpu"], False),
        ("rpc:0", False),
        (["rpc:0", "RPC1"], False),
        ("auto", True),
        ("gpu", True),
        (["rpc:0", "cuda"], True),
        ([], False),
    ],
)
def test_drivers_start_only_for_what_may_need_them(wanted: object, expected: bool) -> None:
    assert wants_gpus(wanted) is expected


class Info:
    """As the extension describes a device."""

    description = type = "gpu"
    pci_id = ""
    memory_free = memory_total = 1

    def __init__(self, name: str, backend: str) -> None:
        self.name = name
        self.backend = backend


def test_devices_are_numbered_within_their_backend_which_has_one_name() -> None:
    infos = [Info("CUDA0", "CUDA"), Info("ROCm0", "ROCm"), Info("CUDA1", "CUDA"), Info("M", "MTL")]
    found = _numbered(infos)  # type: ignore[arg-type]  # stand-ins
    assert [(each.backend, each.index) for each in found] == [
        ("cuda", 0),
        ("hip", 0),
        ("cuda", 1),
        ("metal", 0),
    ]
    assert found[0].pci_id is None
