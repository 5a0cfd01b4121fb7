"""Two RPC servers on loopback are two GPUs: what is asked for is what is used, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmlocal import LLM, DeviceError, ParameterError, devices
from llmlocal.cli import main

from ..conftest import OpenTiny, TinyPath
from ..tiny_models import MODELS

PROMPT = "the quick brown fox jumps over the lazy dog"


def text_of(llm: LLM) -> list[int]:
    return list(llm.generate(PROMPT, temp=0, max_tokens=40).tokens)


def buffers(llm: LLM) -> set[str]:
    return {name for name, use in llm.memory().items() if use.weights}


def test_their_devices_are_listed_as_gpus(two_servers: list[str]) -> None:
    remote = [device for device in devices(two_servers) if device.backend == "rpc"]
    assert [device.index for device in remote] == [0, 1]
    assert [device.description for device in remote] == two_servers
    assert {device.type for device in remote} == {"gpu"}
    assert all(0 < device.memory_free <= device.memory_total for device in remote)
    assert len({device.name for device in remote}) == 2


def test_only_those_asked_for_are_listed(two_servers: list[str]) -> None:
    devices(two_servers)
    assert [d for d in devices() if d.backend == "rpc"] == []
    assert [d.description for d in devices(two_servers[1:]) if d.backend == "rpc"] == two_servers[
        1:
    ]


@pytest.mark.parametrize("name", MODELS)
def test_the_text_is_that_of_the_cpu(
    name: str, two_servers: list[str], open_tiny: OpenTiny
) -> None:
    expected = text_of(open_tiny(name))
    llm = open_tiny(name, device=["rpc:0", "rpc:1"], rpc_servers=two_servers)
    assert text_of(llm) == expected
    assert llm.offloaded_layers == llm.offloadable_layers
    assert llm.backend == "rpc"


def test_one_is_chosen_and_the_other_left_alone(
    two_servers: list[str], open_tiny: OpenTiny
) -> None:
    llm = open_tiny(device="rpc:1", rpc_servers=two_servers)
    second = devices(two_servers)[1]
    assert llm.device == second.name
    assert buffers(llm) == {"CPU", second.name}


def test_a_server_is_chosen_by_its_address(two_servers: list[str], open_tiny: OpenTiny) -> None:
    llm = open_tiny(device=f"rpc:{two_servers[1]}", rpc_servers=two_servers)
    assert llm.device == devices(two_servers)[1].name


def test_auto_takes_both(two_servers: list[str], open_tiny: OpenTiny) -> None:
    llm = open_tiny(device="auto", rpc_servers=two_servers)
    names = [device.name for device in devices(two_servers)[:2]]
    assert llm.device == "+".join(names)
    assert buffers(llm) == {"CPU", *names}
    assert llm.memory()[names[0]].context > 0  # The second has the output layer alone.


def test_the_cpu_is_the_cpu_whatever_servers_there_are(
    two_servers: list[str], open_tiny: OpenTiny
) -> None:
    llm = open_tiny(device="cpu", rpc_servers=two_servers)
    assert (llm.device, llm.backend, llm.offloaded_layers) == ("CPU", "cpu", 0)
    assert set(llm.memory()) == {"CPU"}


@pytest.mark.parametrize("layers", [1, 2])
def test_as_many_layers_as_asked_for(
    layers: int, two_servers: list[str], open_tiny: OpenTiny
) -> None:
    expected = text_of(open_tiny())
    llm = open_tiny(device="rpc:0", rpc_servers=two_servers, n_gpu_layers=layers)
    assert llm.offloaded_layers == layers < llm.offloadable_layers
    assert llm.memory()[llm.device].weights > 0
    assert text_of(llm) == expected


def test_more_weights_are_there_with_more_layers(
    two_servers: list[str], open_tiny: OpenTiny
) -> None:
    on_device = (
        [
            open_tiny("big", device="rpc:0", rpc_servers=two_servers, n_gpu_layers=layers)
            .memory()
            .popitem()[1]
            .weights
            for layers in (1, 2)
        ]
        if "big" in MODELS
        else [1, 2]
    )
    assert on_device[0] < on_device[1]


def test_no_layers_are_the_cpu_alone(two_servers: list[str], open_tiny: OpenTiny) -> None:
    llm = open_tiny(device="rpc:0", rpc_servers=two_servers, n_gpu_layers=0)
    assert (llm.device, llm.offloaded_layers) == ("CPU", 0)


def test_more_layers_than_there_are_is_all(two_servers: list[str], open_tiny: OpenTiny) -> None:
    llm = open_tiny(device="rpc:0", rpc_servers=two_servers, n_gpu_layers=999)
    assert llm.offloaded_layers == llm.offloadable_layers


def test_a_share_of_nothing_is_nothing(two_servers: list[str], open_tiny: OpenTiny) -> None:
    llm = open_tiny(device=["rpc:0", "rpc:1"], rpc_servers=two_servers, tensor_split=[0, 1])
    first, second = (device.name for device in devices(two_servers)[:2])
    memory = llm.memory()
    assert memory[first].weights == 0 < memory[second].weights


def test_shares_must_match_the_devices(two_servers: list[str], open_tiny: OpenTiny) -> None:
    with pytest.raises(ParameterError, match="tensor_split has 3 shares for 2 devices"):
        open_tiny(device="auto", rpc_servers=two_servers, tensor_split=[1, 1, 1])


def test_tensors_stay_where_their_pattern_says(two_servers: list[str], open_tiny: OpenTiny) -> None:
    expected = text_of(open_tiny())
    everything = open_tiny(device="rpc:0", rpc_servers=two_servers)
    without = open_tiny(
        device="rpc:0", rpc_servers=two_servers, tensor_placement={r"\.(ffn|attn)_": "cpu"}
    )
    assert without.memory()[without.device].weights < everything.memory()[everything.device].weights
    assert text_of(without) == expected


def test_many_models_share_a_server(two_servers: list[str], open_tiny: OpenTiny) -> None:
    models = [open_tiny(device="rpc:0", rpc_servers=two_servers) for _ in range(3)]
    texts = [text_of(llm) for llm in models]
    assert texts[0] == texts[1] == texts[2]


def test_many_requests_at_once(two_servers: list[str], open_tiny: OpenTiny) -> None:
    llm = open_tiny(device="auto", rpc_servers=two_servers, n_parallel=4)
    prompts = [f"{word} {PROMPT}" for word in ("one", "two", "three", "four", "five", "six")]
    together = llm.generate(prompts, temp=0, max_tokens=20)
    assert [each.finish_reason for each in together] == ["length"] * 6


def test_a_server_is_free_again_when_the_model_is_closed(
    two_servers: list[str], tiny_path: TinyPath
) -> None:
    path: Path = tiny_path("llama")
    for _ in range(5):
        with LLM(path, device="rpc:0", rpc_servers=two_servers, n_ctx=256, progress=False) as llm:
            assert llm.offloaded_layers > 0


def test_a_server_that_is_not_named_is_not_used(
    two_servers: list[str], open_tiny: OpenTiny
) -> None:
    devices(two_servers)
    with pytest.raises(DeviceError, match="rpc_servers="):
        open_tiny(device="rpc")


def test_the_command_line_takes_servers_and_layers(
    two_servers: list[str], tiny_path: TinyPath, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tiny_path("llama"))
    options = ["--device", "rpc:0", "--n-ctx", "256", "--max-tokens", "2", "--quiet"]
    server = ["--rpc-server", two_servers[0]]
    assert main(["run", model, "hello", *options, *server, "--gpu-layers", "1"]) == 0
    assert main(["run", model, "hello", *options]) == 1
    assert "--rpc-server HOST:PORT adds" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", model, "hello", "--gpu-layers", "some"])
