"""Events: what ``memory-events`` carries, as CloudEvents 1.0 in binary mode.

Bodies are built from history entries and request outcomes alone, so an event announced again is the same
byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.history import ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.identity import event_id
from schemas.jsonvalues import canonical_value
from schemas.memories import Memory
from schemas.operations import RULES
from schemas.problems import DeadLetterReason, FailureReason
from schemas.requests import StoredMetadata
from schemas.scope import Scope
from schemas.times import Instant, format_instant

SOURCE: Final = "/agentmem/worker"
CONTENT_TYPE: Final = "application/json"


class EventType(StrEnum):
    """The ``ce_type`` of an event."""

    ADDED = "agentmem.memory.added"
    UPDATED = "agentmem.memory.updated"
    DELETED = "agentmem.memory.deleted"
    UNCHANGED = "agentmem.request.unchanged"
    FAILED = "agentmem.request.failed"


TYPE_OF_CHANGE: Final = {
    ChangeKind.ADDED: EventType.ADDED,
    ChangeKind.UPDATED: EventType.UPDATED,
    ChangeKind.DELETED: EventType.DELETED,
}


class EventMemory(BaseModel):
    """The memory after the change (for a deletion: as it last was)."""

    model_config = ConfigDict(extra="ignore")

    id: UUID = Field(description="The memory's id.")
    text: str = Field(description="What is remembered.")
    user_id: str | None = Field(None, description="The user whose memory it is.")
    agent_id: str | None = Field(None, description="The agent whose memory it is.")
    app_id: str | None = Field(None, description="The application whose memory it is.")
    run_id: str | None = Field(None, description="The run (session) whose memory it is.")
    role: str = Field(description="Who said it: user, assistant, system or the producer's own word.")
    name: str | None = Field(None, description="The speaker's name.")
    metadata: StoredMetadata = Field(description="The producer's own JSON object.")
    created_at: Instant = Field(description="When it was said or first stored.")
    updated_at: Instant = Field(description="When it last changed.")
    expiration_date: Instant | None = Field(None, description="From when on it is hidden.")


class EventBody(BaseModel):
    """The value of a ``memory-events`` record.

    ``memory``, ``version`` and ``previous_text`` are there when a memory changed; ``reason`` and ``detail``
    when the request failed. New fields may be added: ignore what you do not know.
    """

    model_config = ConfigDict(extra="ignore")

    project: str = Field(description="The project.")
    request_id: str = Field(description="The request that led to this event.")
    op: str = Field(description="What the request asked for.", examples=list(RULES))
    index: int = Field(ge=0, description="Which of the request's events this is, from 0.")
    count: int = Field(ge=1, description="How many events the request has.")
    memory: EventMemory | None = Field(None, description="The memory that changed.")
    version: int | None = Field(None, description="The memory's version, from 1.")
    previous_text: str | None = Field(None, description="The text before the change; null for a new memory.")
    reason: str | None = Field(
        None,
        description="Why the request failed. More reasons may be added.",
        examples=[str(reason) for kind in (FailureReason, DeadLetterReason) for reason in kind],
    )
    detail: str | None = Field(None, description="What is wrong, for a person.")


@dataclass(frozen=True, slots=True)
class Event:
    """An event ready for Kafka: ``key`` is the scope's key, ``body`` the JSON value."""

    id: UUID
    type: EventType
    subject: str | None
    time: datetime
    key: str
    body: bytes

    def headers(self, traceparent: str | None = None) -> list[tuple[str, bytes]]:
        """The CloudEvents attributes as Kafka headers."""
        attributes: list[tuple[str, str | None]] = [
            ("ce_specversion", "1.0"),
            ("ce_id", str(self.id)),
            ("ce_type", self.type.value),
            ("ce_source", SOURCE),
            ("ce_subject", self.subject),
            ("ce_time", format_instant(self.time)),
            ("content-type", CONTENT_TYPE),
            ("traceparent", traceparent),
        ]
        return [(name, value.encode()) for name, value in attributes if value is not None]


def change_event(entry: HistoryEntry, outcome: RequestOutcome) -> Event:
    """The event of one change of a request."""
    memory = entry.memory
    body = _request_part(outcome, entry.index)
    body |= {
        "memory": memory_document(memory),
        "version": memory.version,
        "previous_text": entry.previous_text,
    }
    return _event(
        TYPE_OF_CHANGE[entry.kind],
        outcome,
        entry.index,
        str(memory.id),
        entry.recorded_at,
        memory.scope,
        body,
    )


def outcome_event(outcome: RequestOutcome) -> Event:
    """The one event of a request that changed nothing: ``unchanged``, or ``failed`` with the reason."""
    failed = outcome.status is RequestStatus.FAILED
    body = _request_part(outcome, 0)
    if failed:
        body |= {"reason": outcome.reason, "detail": outcome.detail}
    subject = str(outcome.memory_id) if outcome.memory_id else None
    kind = EventType.FAILED if failed else EventType.UNCHANGED
    return _event(kind, outcome, 0, subject, outcome.recorded_at, outcome.scope, body)


def memory_document(memory: Memory) -> dict[str, Any]:
    """A memory as it appears in events, as plain JSON values."""
    return {
        "id": str(memory.id),
        "text": memory.text,
        "user_id": memory.scope.user_id,
        "agent_id": memory.scope.agent_id,
        "app_id": memory.scope.app_id,
        "run_id": memory.scope.run_id,
        "role": memory.role,
        "name": memory.name,
        "metadata": canonical_value(memory.metadata),
        "created_at": format_instant(memory.created_at),
        "updated_at": format_instant(memory.updated_at),
        "expiration_date": format_instant(memory.expires_at) if memory.expires_at else None,
    }


def _request_part(outcome: RequestOutcome, index: int) -> dict[str, Any]:
    return {
        "project": outcome.scope.project,
        "request_id": outcome.request_id,
        "op": outcome.op,
        "index": index,
        "count": outcome.events,
    }


def _event(
    kind: EventType,
    outcome: RequestOutcome,
    index: int,
    subject: str | None,
    time: datetime,
    scope: Scope,
    body: dict[str, Any],
) -> Event:
    identity = event_id(outcome.scope.project, outcome.request_id, index, kind.value)
    # Sorted keys: Postgres returns JSON objects in an order of its own, and the bytes must not depend on it.
    return Event(identity, kind, subject, time, scope.key, orjson.dumps(body, option=orjson.OPT_SORT_KEYS))
