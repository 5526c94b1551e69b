"""Our models in the shapes that mem0's clients read."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from gateway.progress import Change, Progress
from schemas.events import EventType
from schemas.history import ChangeKind, HistoryEntry, RequestStatus
from schemas.identity import event_id
from schemas.memories import Memory
from schemas.times import format_instant

STATUS: Final = {
    RequestStatus.ACCEPTED: "PENDING",
    RequestStatus.RUNNING: "RUNNING",
    RequestStatus.SUCCEEDED: "SUCCEEDED",
    RequestStatus.FAILED: "FAILED",
}
_EVENT: Final = {ChangeKind.ADDED: "ADD", ChangeKind.UPDATED: "UPDATE", ChangeKind.DELETED: "DELETE"}
_TYPE: Final = {
    ChangeKind.ADDED: EventType.ADDED,
    ChangeKind.UPDATED: EventType.UPDATED,
    ChangeKind.DELETED: EventType.DELETED,
}


def memory_json(memory: Memory, score: float | None = None) -> dict[str, Any]:
    """A memory; with its score where it was searched for. The run id goes by both of its names."""
    document: dict[str, Any] = {
        "id": str(memory.id),
        "memory": memory.text,
        "user_id": memory.scope.user_id,
        "agent_id": memory.scope.agent_id,
        "app_id": memory.scope.app_id,
        "run_id": memory.scope.run_id,
        "session_id": memory.scope.run_id,
        "role": memory.role,
        "name": memory.name,
        "metadata": memory.metadata,
        "categories": [],
        "version": memory.version,
        "created_at": format_instant(memory.created_at),
        "updated_at": format_instant(memory.updated_at),
        "expiration_date": _time(memory.expires_at),
    }
    if score is not None:
        document["score"] = score
    return document


def history_json(entry: HistoryEntry) -> dict[str, Any]:
    """One line of a memory's history; its id is the id of the event that announced it."""
    memory = entry.memory
    deleted = entry.kind is ChangeKind.DELETED
    id = event_id(memory.scope.project, entry.request_id, entry.index, _TYPE[entry.kind].value)
    return {
        "id": str(id),
        "memory_id": str(memory.id),
        "event": _EVENT[entry.kind],
        "old_memory": entry.previous_text,
        "new_memory": None if deleted else memory.text,
        "metadata": memory.metadata,
        "version": memory.version,
        "request_id": entry.request_id,
        "created_at": format_instant(memory.created_at),
        "updated_at": format_instant(entry.recorded_at),
    }


def results_json(progress: Progress) -> list[dict[str, Any]]:
    """What a request did, one entry for each memory."""
    return [_result(change) for change in progress.changes]


def event_json(request_id: str, progress: Progress) -> dict[str, Any]:
    """The state of a request."""
    document: dict[str, Any] = {
        "id": request_id,
        "event_id": request_id,
        "status": STATUS[progress.status],
        "results": results_json(progress),
    }
    if progress.status is RequestStatus.FAILED:
        document |= {"reason": progress.reason, "message": progress.detail or progress.reason}
    return document


def _result(change: Change) -> dict[str, Any]:
    return {"id": str(change.memory_id), "data": {"memory": change.text}, "event": _EVENT[change.kind]}


def _time(value: datetime | None) -> str | None:
    return format_instant(value) if value else None
