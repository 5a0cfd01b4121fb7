"""How many layers fit: arithmetic on made-up models and devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal._devices._offload import Layers, divide, fit, layers_of, plan_for
from llmlocal.models import Tensor

MB = 10**6
ROOMY = 10**12


def layers(*weights: int, context: int = 0, work: int = 0) -> Layers:
    """The last one is the output layer, which has no context."""
    return Layers(tuple(weights), (*[context] * (len(weights) - 1), 0), work)


def tensor(name: str, size: int) -> Tensor:
    return Tensor(name, (size,), "F32", 0, size)


def test_all_layers_go_to_a_device_with_room() -> None:
    plan = fit(layers(10, 10, 10, 5), [ROOMY])
    assert plan.counts == (4,)
    assert plan.needed == (35,)


def test_the_last_layers_go_first_and_the_output_layer_is_the_last() -> None:
    # 5 % of the memory stays free: 1,900 usable.
    plan = fit(layers(9000, 1000, 500, 100), [2000])
    assert plan.counts == (3,)
    assert plan.needed == (1600,)


def test_keys_and_values_and_work_space_count() -> None:
    bare = fit(layers(*[100] * 10), [1000])
    with_context = fit(layers(*[100] * 10, context=50), [1000])
    with_work = fit(layers(*[100] * 10, work=450), [1000])
    assert bare.total == 9
    assert with_context.total == 6  # 5 x 150 + 100, of 950
    assert with_work.total == 5


def test_nothing_fits() -> None:
    plan = fit(layers(10 * MB, 10 * MB), [1 * MB])
    assert plan.total == 0
    assert plan.needed == (0,)


def test_a_device_that_does_not_tell_its_memory_takes_all() -> None:
    assert fit(layers(10 * MB, 10 * MB), [0]).total == 2


def test_devices_share_by_their_free_memory() -> None:
    assert fit(layers(*[10] * 8), [3000, 1000]).counts == (6, 2)


def test_where_that_does_not_fit_they_are_filled_one_after_the_other() -> None:
    # By free memory it would be two and two; the third layer is too large for the first device.
    plan = fit(layers(100, 100, 100, 900), [400, 1000])
    assert plan.counts == (3, 1)
    assert plan.fits


def test_shares_that_were_asked_for_are_kept() -> None:
    assert fit(layers(*[10] * 8), [ROOMY, ROOMY], [1, 3]).counts == (2, 6)
    assert fit(layers(*[10] * 8), [ROOMY, ROOMY], [0, 1]).counts == (0, 8)


def test_the_context_may_grow_until_a_device_is_full() -> None:
    # 950 usable, 400 of weights: 550 for three quarters of the context.
    own = Layers((100, 100, 100, 100, 100), (30, 30, 30, 30, 0), 0)
    plan = plan_for(own, [4], [1000])
    assert plan.context_limit == 550 * 120 // 90


def test_no_limit_where_the_memory_is_unknown() -> None:
    assert plan_for(layers(10, 10, context=1), [2], [0]).context_limit is None


def test_tensors_belong_to_layers_by_their_names() -> None:
    found = layers_of(
        [
            tensor("token_embd.weight", 1000),
            tensor("blk.0.attn_q.weight", 10),
            tensor("blk.1.attn_q.weight", 20),
            tensor("blk.1.ffn_up_exps.weight", 300),
            tensor("output_norm.weight", 1),
            tensor("output.weight", 1000),
        ],
        2,
        context_bytes=7,
        work_bytes=5,
        placements={"_exps": "cpu"},
    )
    assert found == Layers((10, 20, 1001), (4, 4, 0), 5)


def test_embeddings_that_serve_as_the_output_layer_are_copied_to_the_device() -> None:
    found = layers_of(
        [tensor("token_embd.weight", 1000), tensor("blk.0.x", 1)], 1, context_bytes=0, work_bytes=0
    )
    assert found.weights == (1, 1000)


sizes = st.lists(st.integers(1, 1000), min_size=1, max_size=12)
rooms = st.lists(st.integers(1, 6000), min_size=1, max_size=4)


@given(sizes, rooms)
def test_a_plan_never_needs_more_than_there_is(weights: list[int], free: list[int]) -> None:
    plan = fit(layers(*weights, context=3, work=2), free)
    assert all(needed <= room for needed, room in zip(plan.needed, free, strict=True))
    assert plan.total <= len(weights)


@given(sizes, rooms)
def test_no_layer_more_would_fit_on_the_devices_in_their_order(
    weights: list[int], free: list[int]
) -> None:
    model = layers(*weights)
    plan = fit(model, free)
    usable = [int(room * 0.95) for room in free]
    rest = list(weights[len(weights) - plan.total - 1 :])
    if plan.total == len(weights):
        return
    for room in usable:
        left = room
        while rest and rest[0] <= left:
            left -= rest.pop(0)
    assert rest


@pytest.mark.parametrize(
    ("count", "shares", "expected"),
    [(31, [1.0], (31,)), (31, [1, 1], (16, 15)), (4, [1, 0, 1], (2, 0, 2)), (0, [1, 1], (0, 0))],
)
def test_division(count: int, shares: list[float], expected: tuple[int, ...]) -> None:
    assert divide(count, shares) == expected


@given(st.lists(st.integers(0, 40), min_size=1, max_size=16).filter(any))
def test_counts_as_shares_give_the_same_counts(counts: list[int]) -> None:
    """What was planned is handed to llama.cpp as shares."""
    assert divide(sum(counts), counts) == tuple(counts)
