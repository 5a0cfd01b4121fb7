"""The server's description in OpenAPI 3.1: what each endpoint takes, for people and for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal import __version__

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["openapi", "openapi_document"]

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_TEXTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_TOKENS: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_PROMPTS: Schema = {"anyOf": [*_TEXTS["anyOf"], _TOKENS, {"type": "array", "items": _TOKENS}]}
_OBJECT: Schema = {"type": "object"}


def _whole(least: int = 0, most: int | None = None) -> Schema:
    return {"type": "integer", "minimum": least, **({} if most is None else {"maximum": most})}


def _number(least: float | None = None, most: float | None = None) -> Schema:
    bounds = {"minimum": least, "maximum": most}
    return {"type": "number", **{k: v for k, v in bounds.items() if v is not None}}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _body(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


_MESSAGE = _body(("role", "content"), role=_TEXT, content=_TEXT)
_SAMPLING: dict[str, Schema] = {
    "temperature": _number(0),
    "top_p": _number(0, 1),
    "top_k": _whole(),
    "min_p": _number(0, 1),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "repeat_penalty": _number(0),
    "stop": _TEXTS,
    "seed": {"type": "integer"},
    "logit_bias": {"type": "object", "additionalProperties": _number(-100, 100)},
    "n": _whole(1, 128),
    "stream": _FLAG,
}
_CHAT = _body(
    ("messages",),
    model=_TEXT,
    messages=_list(_MESSAGE),
    max_tokens=_whole(),
    max_completion_tokens=_whole(),
    logprobs=_FLAG,
    top_logprobs=_whole(0, 20),
    response_format=_OBJECT,
    grammar=_TEXT,
    tools=_list(_OBJECT),
    tool_choice={"anyOf": [_TEXT, _OBJECT]},
    parallel_tool_calls=_FLAG,
    reasoning_effort=_TEXT,
    chat_template_kwargs=_OBJECT,
    stream_options=_OBJECT,
    **_SAMPLING,
)
_COMPLETION = _body(
    ("prompt",),
    model=_TEXT,
    prompt=_PROMPTS,
    suffix=_TEXT,
    echo=_FLAG,
    response_format=_OBJECT,
    grammar=_TEXT,
    max_tokens=_whole(),
    logprobs=_whole(0, 20),
    **_SAMPLING,
)
_RESPONSE = _body(
    ("input",),
    model=_TEXT,
    input={"anyOf": [_TEXT, _list(_MESSAGE)]},
    instructions=_TEXT,
    max_output_tokens=_whole(),
    previous_response_id=_TEXT,
    store=_FLAG,
    stream=_FLAG,
    temperature=_number(0),
    top_p=_number(0, 1),
    text=_OBJECT,
    tools=_list(_OBJECT),
    truncation={"enum": ["auto", "disabled"]},
)
_MESSAGES = _body(
    ("messages", "max_tokens"),
    model=_TEXT,
    messages=_list(_MESSAGE),
    max_tokens=_whole(),
    system=_TEXT,
    stop_sequences=_list(_TEXT),
    temperature=_number(0),
    top_p=_number(0, 1),
    top_k=_whole(),
    stream=_FLAG,
    tools=_list(_OBJECT),
)
_OLLAMA: dict[str, Schema] = {
    "model": _TEXT,
    "stream": _FLAG,
    "format": {"anyOf": [{"enum": ["json"]}, _OBJECT]},
    "options": _OBJECT,
    "keep_alive": {"anyOf": [_TEXT, {"type": "number"}]},
    "think": {"anyOf": [_FLAG, _TEXT]},
}
_NAMED = _body(("model",), model=_TEXT)

_POSTS: dict[str, tuple[str, Schema]] = {
    "/v1/chat/completions": ("Answer a conversation (OpenAI)", _CHAT),
    "/v1/completions": ("Continue texts (OpenAI)", _COMPLETION),
    "/v1/responses": ("Answer, and store the answer (OpenAI)", _RESPONSE),
    "/v1/embeddings": (
        "The vectors of texts (OpenAI)",
        _body(
            ("input",),
            model=_TEXT,
            input=_PROMPTS,
            encoding_format={"enum": ["float", "base64"]},
            dimensions=_whole(1),
        ),
    ),
    "/v1/rerank": (
        "Documents by how well they answer a query",
        _body(
            ("query", "documents"),
            model=_TEXT,
            query=_TEXT,
            documents=_list(_TEXT),
            top_n=_whole(1),
            return_documents=_FLAG,
        ),
    ),
    "/v1/messages": ("Answer a conversation (Anthropic)", _MESSAGES),
    "/v1/messages/count_tokens": (
        "Count the tokens of a conversation (Anthropic)",
        _body(("messages",), model=_TEXT, messages=_list(_MESSAGE), system=_TEXT),
    ),
    "/api/chat": (
        "Answer a conversation (Ollama)",
        _body(("model", "messages"), messages=_list(_MESSAGE), **_OLLAMA),
    ),
    "/api/generate": (
        "Answer or continue a prompt (Ollama)",
        _body(("model",), prompt=_TEXT, system=_TEXT, raw=_FLAG, **_OLLAMA),
    ),
    "/api/embed": (
        "The vectors of texts (Ollama)",
        _body(("model", "input"), model=_TEXT, input=_TEXTS, dimensions=_whole(1)),
    ),
    "/api/embeddings": (
        "The vector of a text (older Ollama)",
        _body(("model", "prompt"), model=_TEXT, prompt=_TEXT),
    ),
    "/api/show": ("What a model is (Ollama)", _NAMED),
    "/api/pull": ("Bring one of the server's models to its disk (Ollama)", _NAMED),
    "/tokenize": ("Text to tokens", _body((), model=_TEXT, prompt=_TEXT, add_special=_FLAG)),
    "/detokenize": ("Tokens to text", _body(("tokens",), model=_TEXT, tokens=_TOKENS)),
}
_GETS: dict[str, str] = {
    "/v1/models": "The models (OpenAI)",
    "/v1/models/{model}": "One model (OpenAI)",
    "/v1/responses/{response}": "A response that was stored (OpenAI)",
    "/api/tags": "The models (Ollama)",
    "/api/ps": "The models in memory (Ollama)",
    "/api/version": "The version of the server (Ollama)",
    "/tokenizer_info": "What there is to know of the tokenizer",
    "/health": "Whether the server is there",
    "/metrics": "Figures for Prometheus",
}


def openapi_document() -> dict[str, Any]:
    """The whole description."""
    paths: dict[str, Any] = {}
    for path, (summary, schema) in _POSTS.items():
        content = {"application/json": {"schema": schema}}
        body = {"required": True, "content": content}
        paths[path] = {"post": {**_operation(path, summary), "requestBody": body}}
    for path, summary in _GETS.items():
        paths.setdefault(path, {})["get"] = _operation(path, summary)
    return {
        "openapi": "3.1.0",
        "info": {"title": "llmlocal", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }


def _operation(path: str, summary: str) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": n, "in": "path", "required": True, "schema": _TEXT} for n in names]
    described = {"200": "as it was asked", "4XX": "what is wrong with it", "503": "no model"}
    responses = {code: {"description": text} for code, text in described.items()}
    return {"summary": summary, "parameters": parameters, "responses": responses}


async def openapi(_: Request) -> Response:
    """The description, as JSON."""
    return JSONResponse(openapi_document())
