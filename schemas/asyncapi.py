"""The AsyncAPI 3.0 description of the topics, put together from the models' JSON Schemas."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from schemas.events import CONTENT_TYPE, EventBody
from schemas.headers import DeadLetterHeaders, EventHeaders
from schemas.requests import SCHEMA_VERSION, MemoryRequest

_MODELS: Final[list[tuple[type[BaseModel], JsonSchemaMode]]] = [
    (MemoryRequest, "validation"),
    (EventBody, "serialization"),
    (EventHeaders, "serialization"),
    (DeadLetterHeaders, "serialization"),
]
_SCHEMAS: Final = "#/components/schemas/"
_KEY: Final = {
    "type": "string",
    "description": "The scope: <project>/<kind>:<id>, kind being the first present of user, agent, app and run; "
    "project and id are percent-encoded.",
    "examples": ["default/user:alice", "my%20project/run:2030%2F01"],
}
_ANY_KEY: Final = {"description": "The key as it was received: any bytes, or none."}


def asyncapi_document() -> dict[str, Any]:
    """The whole document, as JSON values."""
    references, schemas = models_json_schema(_MODELS, by_alias=True, ref_template=_SCHEMAS + "{model}")
    payload = {model: references[model, mode] for model, mode in _MODELS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "AgentMem",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": "A memory for AI agents: requests go in, events say what changed. "
            "Topic names may have a prefix.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "local": {"host": "127.0.0.1:9092", "protocol": "kafka", "description": "A broker on this machine."}
        },
        "channels": {
            "memory-requests": _channel("memory-requests", "request", "What producers ask for."),
            "memory-events": _channel("memory-events", "event", "What changed, or why nothing did."),
            "memory-dlq": _channel("memory-dlq", "deadLetter", "Requests that can never be applied."),
        },
        "operations": {
            "takeRequest": _operation("receive", "memory-requests", "Reads a request and applies it."),
            "announceEvent": _operation(
                "send", "memory-events", "One event for each change of a request, or one in all."
            ),
            "setAside": _operation("send", "memory-dlq", "Sets a record aside that can never be applied."),
        },
        "components": {
            "messages": {
                "request": _message("Memory request", _KEY, payload[MemoryRequest]),
                "event": _message("Memory event", _KEY, payload[EventBody], payload[EventHeaders]),
                "deadLetter": _message(
                    "Dead letter",
                    _ANY_KEY,
                    {"description": "The value as it was received: any bytes, or none."},
                    payload[DeadLetterHeaders],
                )
                | {"contentType": "application/octet-stream"},
            },
            "schemas": schemas["$defs"],
        },
    }


def _channel(address: str, message: str, description: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _message(
    title: str, key: dict[str, Any], payload: dict[str, Any], headers: dict[str, Any] | None = None
) -> dict[str, Any]:
    message = {"title": title, "payload": payload, "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}}}
    return message | ({"headers": headers} if headers else {})
