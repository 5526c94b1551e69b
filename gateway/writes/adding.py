"""From bodies that add memories to ``add`` requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.http.bodies import refuse, validated
from gateway.http.problems import invalid
from gateway.writes.scopes import parse_scope
from schemas.requests import MemoryRequest

#: Fields of mem0 that are not supported here.
ADD_UNSUPPORTED: Final = (
    "agent_custom_instructions",
    "custom_categories",
    "custom_instructions",
    "enable_graph",
    "excludes",
    "immutable",
    "includes",
    "memory_type",
    "prompt",
    "structured_data_schema",
)
_OPTIONS: Final = ("metadata", "infer", "timestamp", "expiration_date")


def parse_add(project: str, body: Mapping[str, Any], request_id: str) -> MemoryRequest:
    """The ``add`` request of a body with ``messages``: a text, a message, or a list of messages."""
    return _add(project, body, request_id, _messages(body.get("messages")))


def parse_item(project: str, item: Mapping[str, Any], request_id: str) -> MemoryRequest:
    """The ``add`` request of one item of a batch: a memory with its ``content``, stored as it is."""
    fields = {key: value for key, value in item.items() if value is not None}
    if not isinstance(fields.get("content"), str) or not fields["content"]:
        raise invalid("content", "must be a text, and not empty")
    return _add(project, fields | {"infer": False}, request_id, [_picked(fields)])


def _add(project: str, body: Mapping[str, Any], request_id: str, messages: list[Any]) -> MemoryRequest:
    refuse(body, ADD_UNSUPPORTED)
    return validated(
        MemoryRequest,
        {
            "request_id": request_id,
            "op": "add",
            "project": project,
            **parse_scope(project, body).ids,
            "messages": messages,
            **{name: body[name] for name in _OPTIONS if name in body},
        },
    )


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
    return _picked(value) | ({"timestamp": value["timestamp"]} if value.get("timestamp") is not None else {})


def _picked(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in ("role", "content", "name") if value.get(key) is not None}
