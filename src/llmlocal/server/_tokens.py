"""``/tokenize``, ``/detokenize`` and ``/tokenizer_info``: what lm-eval and llama.cpp's clients ask for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal import LLM
from llmlocal.server._http._body import read_fields
from llmlocal.server._service import service_of

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["detokenize", "tokenize", "tokenizer_info"]


async def tokenize(request: Request) -> Response:
    """The ids of a text's tokens; or of the prompt for a conversation."""
    service = service_of(request)
    fields = await read_fields(request)
    asked = fields.text("model")
    messages = fields.array("messages")
    name = service.any_name_of(asked) if messages is None else service.name_of(asked)
    text = fields.text("prompt", fields.text("content"))
    add_special = fields.flag(
        "add_special", default=fields.flag("add_special_tokens", default=True)
    )
    parse_special = fields.flag("parse_special", default=True)
    opens_answer = fields.flag("add_generation_prompt", default=True)
    if messages is None and text is None:
        raise fields.error("prompt", "is missing")
    async with service.model(name) as llm:

        def encode() -> list[int]:
            if messages is not None:
                prompt = llm.render(messages, add_generation_prompt=opens_answer)
                return list(llm.encode_segments(prompt.segments))
            return list(llm.tokenize(text, add_special=add_special, parse_special=parse_special))

        tokens = await asyncio.to_thread(encode)
        most = llm.n_ctx
    return JSONResponse({"tokens": tokens, "count": len(tokens), "max_model_len": most})


async def detokenize(request: Request) -> Response:
    """The text that tokens stand for."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.any_name_of(fields.text("model"))
    tokens = fields.array("tokens")
    if tokens is None:
        raise fields.error("tokens", "is missing")
    async with service.model(name) as llm:
        text = await asyncio.to_thread(llm.detokenize, tokens, special=True)
    return JSONResponse({"prompt": text, "content": text})


async def tokenizer_info(request: Request) -> Response:
    """What there is to know of the tokenizer."""
    service = service_of(request)
    name = service.any_name_of(request.query_params.get("model"))
    async with service.model(name) as llm:
        info: dict[str, Any] = {
            "model": name,
            "tokenizer_class": llm.metadata.get("tokenizer.ggml.model", ""),
            "bos_token": llm.bos_token or None,
            "eos_token": llm.eos_token or None,
            "add_bos_token": llm.add_bos,
            "chat_template": llm.chat_template() if isinstance(llm, LLM) else None,
            "max_model_len": llm.n_ctx,
        }
    return JSONResponse(info)
