"""On a cluster of two nodes, one of which is killed in mid-job: every row exactly once, as alone."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmlocal import LLM
from llmlocal.ray import build_processor

from ..conftest import TinyPath

ray: Any = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own.
    pytest.mark.timeout(600),
]

ROWS = 500
BATCH = 20
GREEDY = {"temperature": 0, "max_tokens": 6}


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ["RAY_DATA_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False, configure_logging=False)
    yield made
    ray.shutdown()
    made.shutdown()


def ask(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": f"Say {row['id']}", "sampling_params": GREEDY}


class _TellsOfBatches:
    """Leaves a file for each batch, so that the test knows when to strike."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] % BATCH == 0:
            (self.folder / str(row["id"])).touch()
        return {name: row[name] for name in ("id", "generated_text", "error")}


def test_a_node_dies_in_mid_job(cluster: Any, tiny_path: TinyPath, tmp_path: Path) -> None:
    doomed = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    processor = build_processor(
        model=tiny_path("llama"),
        concurrency=2,
        batch_size=BATCH,
        preprocess=ask,
        postprocess=_TellsOfBatches(tmp_path),
        engine={"n_ctx": 256},
    )

    done_before: list[int] = []

    def strike() -> None:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        done_before.append(len(list(tmp_path.iterdir())))
        cluster.remove_node(doomed, allow_graceful=False)

    striking = threading.Thread(target=strike)
    striking.start()
    rows = processor(ray.data.range(ROWS, override_num_blocks=ROWS // BATCH)).take_all()
    striking.join()
    assert done_before[0] < ROWS // BATCH
    assert sorted(row["id"] for row in rows) == list(range(ROWS))
    assert {row["error"] for row in rows} == {""}
    with LLM(tiny_path("llama"), device="cpu", n_ctx=256, n_threads=1) as llm:
        sample = rows[:: ROWS // 25]
        alone = llm.generate([f"Say {row['id']}" for row in sample], temp=0, max_tokens=6)
    assert [row["generated_text"] for row in sample] == [str(text) for text in alone]


def test_the_example_of_the_guide_runs(
    tiny_path: TinyPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = Path(__file__).parents[2] / "docs/scale.md"
    if not guide.exists():
        pytest.skip("the guides are not here")
    (example,) = re.findall(r"```py\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    questions = [{"question": f"Who is number {n}?"} for n in range(6)]
    (tmp_path / "questions.json").write_text("\n".join(map(json.dumps, questions)))
    monkeypatch.chdir(tmp_path)
    ray.init(num_cpus=34, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        names: dict[str, Any] = {}
        exec(example.replace("smollm2-135m-instruct", str(tiny_path("llama"))), names)  # noqa: S102
        rows = names["answers"].take_all()
    finally:
        ray.shutdown()
    assert sorted(row["question"] for row in rows) == [each["question"] for each in questions]
    assert all(row["answer"] for row in rows)
