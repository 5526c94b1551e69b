"""Our models in the shapes that mem0's clients read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from yarl import URL

from gateway.search.querying import Page
from gateway.shapes import memories as shapes
from gateway.shapes import parts, requests
from gateway.writes.progress import Progress, progress_of_rows
from infra.postgres.browsing import Entity
from schemas.events import TYPE_OF_CHANGE
from schemas.history import Change, ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.identity import event_id
from schemas.memories import Memory
from schemas.requests import Operation
from schemas.times import format_instant

STATUS: Final[Mapping[RequestStatus, parts.Status]] = {
    RequestStatus.ACCEPTED: "PENDING",
    RequestStatus.RUNNING: "RUNNING",
    RequestStatus.SUCCEEDED: "SUCCEEDED",
    RequestStatus.FAILED: "FAILED",
}
_EVENT: Final[Mapping[ChangeKind, parts.Change]] = {
    ChangeKind.ADDED: "ADD",
    ChangeKind.UPDATED: "UPDATE",
    ChangeKind.DELETED: "DELETE",
}
_OPERATION: Final[Mapping[Operation, requests.Asked]] = {
    "add": "ADD",
    "update": "UPDATE",
    "delete": "DELETE",
    "delete_all": "DELETE_ALL",
}


def memory_json(memory: Memory, score: float | None = None, fields: Collection[str] = ()) -> dict[str, Any]:
    """A memory; with its score where it was searched for. The run id goes by both of its names.

    ``fields`` are those to give beside id and score; none named are all.
    """
    whole: shapes.Memory = {
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
    document = {**whole} if score is None else {**whole, "score": score}
    return {name: value for name, value in document.items() if not fields or name in {"id", "score", *fields}}


def page_json(url: URL, page: Page, count: int, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A page of a list of ``count``, with the addresses of the next one and the one before."""

    def link(number: int) -> str:
        return str(url.update_query(page=number, page_size=page.page_size))

    return {
        "count": count,
        "next": link(page.page + 1) if page.offset + page.page_size < count else None,
        "previous": link(page.page - 1) if page.page > 1 else None,
        "results": results,
    }


def entity_json(entity: Entity) -> shapes.Entity:
    """A user, agent, app or run."""
    return {
        "id": f"{entity.kind}:{entity.name}",
        "name": entity.name,
        "type": cast(shapes.Kind, entity.kind),
        "total_memories": entity.memories,
        "metadata": None,
        "created_at": format_instant(entity.created_at),
        "updated_at": format_instant(entity.updated_at),
    }


def history_json(entry: HistoryEntry) -> shapes.HistoryLine:
    """One line of a memory's history; its id is the id of the event that announced it."""
    memory = entry.memory
    deleted = entry.kind is ChangeKind.DELETED
    id = event_id(memory.scope.project, entry.request_id, entry.index, TYPE_OF_CHANGE[entry.kind].value)
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


def results_json(progress: Progress) -> list[requests.Result]:
    """What a request did, one entry for each memory."""
    return [_result(change) for change in progress.changes]


def event_json(request_id: str, progress: Progress) -> requests.Event:
    """The state of a request."""
    document: requests.Event = {
        "id": request_id,
        "event_id": request_id,
        "status": STATUS[progress.status],
        "results": results_json(progress),
    }
    if progress.status is RequestStatus.FAILED:
        document |= {"reason": progress.reason, "message": progress.detail or progress.reason}
    return document


def outcome_json(outcome: RequestOutcome, changes: Sequence[Change]) -> requests.ListedEvent:
    """The state of a request in a list of them."""
    document = event_json(outcome.request_id, progress_of_rows(outcome, changes))
    recorded_at = format_instant(outcome.recorded_at)
    return {**document, "event_type": _OPERATION[outcome.op], "updated_at": recorded_at}


def _result(change: Change) -> requests.Result:
    # Older clients and the self-hosted server's callers read "memory", newer ones "data".
    return {
        "id": str(change.memory_id),
        "memory": change.text,
        "data": {"memory": change.text},
        "event": _EVENT[change.kind],
    }


def _time(value: datetime | None) -> str | None:
    return format_instant(value) if value else None
