"""A memory as a line of an export, and back into a request that adds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from schemas.events import memory_document
from schemas.history import HistoryEntry
from schemas.memories import Memory
from schemas.scope import ENTITY_FIELDS
from schemas.times import format_instant

#: What every line has, and neither a request nor a chat message has together.
_MARKS: Final = frozenset({"id", "version", "text", "project"})


def exported(memory: Memory, history: Sequence[HistoryEntry] = ()) -> dict[str, Any]:
    """A memory as JSON values: all that is known of it but its embedding; the caller's own vector is there."""
    document = {"project": memory.scope.project, **memory_document(memory), "version": memory.version}
    if memory.vector is not None:
        document["vector"] = [float(number) for number in memory.vector]
    if history:
        document["history"] = [_version(entry) for entry in history]
    return document


def is_exported(document: dict[str, Any]) -> bool:
    """Whether a JSON object is a line of an export."""
    return document.keys() >= _MARKS and "op" not in document


def imported(document: dict[str, Any]) -> dict[str, Any]:
    """The request that adds an exported memory: the same again for the same version of a memory.

    The memory that it makes has another id, as that follows from the request.
    """
    message = {
        "role": document.get("role"),
        "content": document["text"],
        "name": document.get("name"),
        "timestamp": document.get("created_at"),
    }
    fields = (*ENTITY_FIELDS, "project", "metadata", "expiration_date", "vector")
    return {
        "request_id": f"export:{document['id']}:{document['version']}",
        "op": "add",
        "infer": False,
        "messages": [{name: value for name, value in message.items() if value is not None}],
        **{name: document[name] for name in fields if document.get(name) is not None},
    }


def _version(entry: HistoryEntry) -> dict[str, Any]:
    memory = entry.memory
    return {
        "kind": entry.kind.value,
        "version": memory.version,
        "text": memory.text,
        "previous_text": entry.previous_text,
        "metadata": memory.metadata,
        "expiration_date": format_instant(memory.expires_at) if memory.expires_at else None,
        "request_id": entry.request_id,
        "index": entry.index,
        "recorded_at": format_instant(entry.recorded_at),
    }
