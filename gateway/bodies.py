"""Request bodies as mem0's clients send them, checked and turned into our own terms.

A field that we do not know is ignored, as mem0's clients need it. One that we know and do not support is a
400 that names it, unless it is empty or off: silence would promise what is not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.filters import parse_scope
from gateway.jsonio import loads_object
from gateway.problems import ApiError, invalid
from gateway.search import Query
from schemas.requests import MemoryRequest
from schemas.scope import Scope

TOP_K_MAX: Final = 1000
PAGE_SIZE_MAX: Final = 1000
_OFFSET_MAX: Final = 2**31
_IDEMPOTENCY_KEY_MAX: Final = 255

_ADD_UNSUPPORTED: Final = (
    "agent_custom_instructions",
    "custom_categories",
    "custom_instructions",
    "enable_graph",
    "excludes",
    "immutable",
    "includes",
    "structured_data_schema",
)
_SEARCH_UNSUPPORTED: Final = (
    "categories",
    "enable_graph",
    "fields",
    "keyword_search",
    "latest_only",
    "limit",
    "metadata",
    "reference_date",
    "rerank",
)
_LIST_UNSUPPORTED: Final = (
    "categories",
    "end_date",
    "fields",
    "keywords",
    "latest_only",
    "metadata",
    "start_date",
)

Model = TypeVar("Model", bound=BaseModel)


class _SearchBody(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)

    query: str = Field(min_length=1)
    top_k: int = Field(10, ge=1, le=TOP_K_MAX)
    threshold: float = Field(0.1, ge=0, le=1)
    show_expired: bool = False


class Page(BaseModel):
    """Which part of a list: ``page`` counts from 1."""

    page: int = Field(1, ge=1)
    page_size: int = Field(100, ge=1, le=PAGE_SIZE_MAX)
    show_expired: bool = False

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


async def read_body(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent, without its nulls: clients send null for what is not set."""
    try:
        body = loads_object(await request.read())
    except ValueError as error:
        raise ApiError(400, "invalid_json", str(error)) from error
    return {key: value for key, value in body.items() if value is not None}


def parse_add(project: str, body: Mapping[str, Any], idempotency_key: str | None) -> MemoryRequest:
    """The ``add`` request of a body. The same Idempotency-Key gives the same request id in a project."""
    _refuse(body, _ADD_UNSUPPORTED)
    fields = {name: body[name] for name in ("metadata", "infer", "timestamp", "expiration_date") if name in body}
    return validated(
        MemoryRequest,
        {
            "request_id": _request_id(project, idempotency_key),
            "op": "add",
            "project": project,
            **parse_scope(project, body).ids,
            "messages": _messages(body.get("messages")),
            **fields,
        },
    )


def parse_search(project: str, body: Mapping[str, Any]) -> Query:
    """The query of a body."""
    _refuse(body, _SEARCH_UNSUPPORTED)
    scope = parse_scope(project, body)
    search = validated(_SearchBody, body)
    return Query(search.query, scope, search.top_k, search.threshold, search.show_expired)


def parse_list(project: str, body: Mapping[str, Any], query: Mapping[str, str]) -> tuple[Scope, Page]:
    """The scope and the page to list; ``page`` and ``page_size`` may stand in the URL's query or the body."""
    _refuse(body, _LIST_UNSUPPORTED)
    scope = parse_scope(project, body)
    page = validated(Page, {**body, **{key: query[key] for key in ("page", "page_size") if key in query}})
    if page.offset > _OFFSET_MAX:
        raise invalid("page", "is far beyond any list")
    return scope, page


def validated(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """The model, or a 400 that names the first field at fault."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise invalid(".".join(str(part) for part in first["loc"]) or "body", message) from error


def _messages(value: Any) -> list[Any]:
    if isinstance(value, str | Mapping):
        value = [value]
    if not isinstance(value, list):
        raise invalid("messages", "must be a text, a message or a list of messages")
    return [_message(message, f"messages.{number}") for number, message in enumerate(value)]


def _message(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"role": "user", "content": value}
    if not isinstance(value, Mapping):
        raise invalid(path, "must be an object with role and content")
    return {key: value[key] for key in ("role", "content", "name", "timestamp") if value.get(key) is not None}


def _request_id(project: str, idempotency_key: str | None) -> str:
    if idempotency_key is None:
        return str(uuid4())
    key_fits = 1 <= len(idempotency_key) <= _IDEMPOTENCY_KEY_MAX and idempotency_key.isascii()
    if not (key_fits and idempotency_key.isprintable()):
        raise invalid("Idempotency-Key", f"must be 1 to {_IDEMPOTENCY_KEY_MAX} printable ASCII characters")
    # The project is part of the hashed name only to make it unique; request ids are unique per project anyway.
    return str(uuid5(NAMESPACE_URL, f"agentmem:idempotency-key:{len(project)}:{project}:{idempotency_key}"))


def _refuse(body: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if body.get(name):
            raise ApiError(400, "unsupported_field", f"{name}: this field is not supported.", field=name)
