"""The heart of the system: what a sequence of requests makes of the rows they meet.

``fold`` is a pure function. It knows no store and no clock, so it can be tested against a naive model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from schemas.history import ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.identity import memory_id
from schemas.memories import Memory
from schemas.problems import FailureReason
from schemas.requests import MemoryRequest
from schemas.vectors import unit_vector


@dataclass(slots=True)
class Changes:
    """What a fold did: the changed rows as they now stand, every version on the way, every outcome."""

    memories: dict[UUID, Memory] = field(default_factory=dict)
    history: list[HistoryEntry] = field(default_factory=list)
    outcomes: list[RequestOutcome] = field(default_factory=list)


def fold(rows: Mapping[UUID, Memory], requests: Sequence[MemoryRequest], now: datetime) -> Changes:
    """Apply ``add``, ``update`` and ``delete`` requests in order.

    ``rows`` holds the current rows, deleted ones too, of every memory that an update or delete names, as far
    as they exist. ``now`` is the time of recording, and of the change where the request names none. Each
    request appears once; a ``delete_all`` is not for here: it is a barrier of its own.
    """
    changes = Changes()
    for request in requests:
        if request.op == "add":
            entries = _added(request, now)
            refusal = None
        else:
            assert request.memory_id is not None
            row = changes.memories.get(request.memory_id) or rows.get(request.memory_id)
            entries, refusal = _changed(row, request, now)
        changes.memories |= {entry.memory.id: entry.memory for entry in entries}
        changes.history += entries
        changes.outcomes.append(_outcome(request, len(entries), refusal, now))
    return changes


def deletion(memory: Memory, request_id: str, index: int, at: datetime, now: datetime) -> HistoryEntry:
    """The history entry of a memory's deletion."""
    gone = replace(memory, version=memory.version + 1, updated_at=at, deleted_at=now)
    return _entry(ChangeKind.DELETED, gone, memory, request_id, index, now)


def _added(request: MemoryRequest, now: datetime) -> list[HistoryEntry]:
    entries = []
    for index, message in enumerate(request.contents):
        at = message.timestamp or request.timestamp or now
        memory = Memory(
            id=memory_id(request.project, request.request_id, index),
            scope=request.scope,
            text=message.content,
            version=1,
            created_at=at,
            updated_at=at,
            role=message.role,
            name=message.name,
            metadata=request.metadata or {},
            expires_at=request.expiration_date,
            vector=None if request.vector is None else unit_vector(request.vector),
        )
        entries.append(_entry(ChangeKind.ADDED, memory, None, request.request_id, index, now))
    return entries


def _changed(
    row: Memory | None, request: MemoryRequest, now: datetime
) -> tuple[list[HistoryEntry], tuple[FailureReason, str] | None]:
    if row is None or row.deleted_at is not None or not request.scope.covers(row.scope):
        # A foreign memory and an unknown one are answered alike.
        return [], (FailureReason.NOT_FOUND, f"no memory {request.memory_id}")
    if request.expected_version not in (None, row.version):
        detail = f"expected version {request.expected_version}, but it is {row.version}"
        return [], (FailureReason.VERSION_CONFLICT, detail)
    at = request.timestamp or now
    if request.op == "delete":
        return [deletion(row, request.request_id, 0, at, now)], None
    updated = _updated(row, request)
    if updated == row:
        return [], None
    updated = replace(updated, version=row.version + 1, updated_at=at)
    return [_entry(ChangeKind.UPDATED, updated, row, request.request_id, 0, now)], None


def _updated(row: Memory, request: MemoryRequest) -> Memory:
    if request.text is not None:
        if request.vector is not None:
            row = replace(row, text=request.text, vector=unit_vector(request.vector))
        elif request.text != row.text:
            # The old vector belongs to the old text.
            row = replace(row, text=request.text, vector=None)
    if request.metadata is not None:
        row = replace(row, metadata=request.metadata)
    if request.expiration_date is not None or request.clears_expiry:
        row = replace(row, expires_at=request.expiration_date)
    return row


def _entry(
    kind: ChangeKind, memory: Memory, previous: Memory | None, request_id: str, index: int, now: datetime
) -> HistoryEntry:
    return HistoryEntry(
        kind=kind,
        memory=memory,
        previous_text=previous.text if previous else None,
        previous_metadata=previous.metadata if previous else None,
        request_id=request_id,
        index=index,
        recorded_at=now,
    )


def _outcome(
    request: MemoryRequest, changes: int, refusal: tuple[FailureReason, str] | None, now: datetime
) -> RequestOutcome:
    reason, detail = refusal or (None, None)
    return RequestOutcome(
        request_id=request.request_id,
        scope=request.scope,
        op=request.op,
        hash=request.content_hash(),
        status=RequestStatus.FAILED if reason else RequestStatus.SUCCEEDED,
        recorded_at=now,
        changes=changes,
        infer=request.infer,
        memory_id=request.memory_id,
        reason=reason,
        detail=detail,
    )
