"""``POST /v1/embeddings`` and ``/v1/rerank``."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal._quote import quote
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import service_of
from llmlocal.server._vectors import embedded
from llmlocal.server.openai._prompts import prompts_of
from llmlocal.server.openai._shapes import HARMLESS

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal.server._http._fields import Fields

__all__ = ["embeddings", "rerank"]

_MOST_DOCUMENTS = 2048
_MOST_DIMENSIONS = 1 << 16


async def embeddings(request: Request) -> Response:
    """The vectors of texts."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.text("model"), "embed")
    texts = prompts_of(fields, "input")
    form = fields.one_of("encoding_format", ("float", "base64"), "float")
    options: dict[str, Any] = {"truncate": "error"}
    if (dimensions := fields.whole("dimensions", 1, _MOST_DIMENSIONS)) is not None:
        options["dimensions"] = dimensions
    # Nobody else's: what the model's queries and documents begin with.
    if prefix := fields.text("prefix", fields.text("input_type")):
        options["prefix"] = prefix
    fields.finish(HARMLESS, {})
    vectors, tokens = await while_connected(request, embedded(service, name, texts, **options))
    data = [
        {
            "object": "embedding",
            "index": i,
            "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode()
            if form == "base64"
            else vector.tolist(),
        }
        for i, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "model": name, "data": data, "usage": usage})


async def rerank(request: Request) -> Response:
    """Documents in the order of how well they answer a query."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.text("model"), "rerank")
    query = fields.needed_text("query")
    documents = [_document(fields, each) for each in fields.array("documents") or []]
    top_n = fields.whole("top_n", 1, 1 << 20)
    with_documents = fields.flag("return_documents")
    fields.finish(HARMLESS, {})
    if not documents or len(documents) > _MOST_DOCUMENTS:
        raise fields.error("documents", f"must hold 1 to {_MOST_DOCUMENTS} texts")

    async def work() -> list[Any]:
        async with service.model(name) as reranker:
            ranked: list[Any] = await reranker.arerank(query, documents, top_n=top_n)
            return ranked

    results = [
        {
            "index": each.index,
            "relevance_score": each.score,
            **({"document": {"text": each.document}} if with_documents else {}),
        }
        for each in await while_connected(request, work())
    ]
    return JSONResponse({"object": "list", "model": name, "results": results})


def _document(fields: Fields, document: Any) -> str:
    text = document.get("text") if isinstance(document, dict) else document
    if not isinstance(text, str):
        raise fields.error("documents", f"must hold texts; got {quote(document)}")
    return text
