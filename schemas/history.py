"""What happened: one entry for each version of a memory, one outcome for each request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from schemas.memories import Memory
from schemas.problems import DeadLetterReason, FailureReason
from schemas.requests import Operation
from schemas.scope import Scope

#: What identifies a request: project and request id.
RequestKey = tuple[str, str]


class ChangeKind(StrEnum):
    """What happened to a memory."""

    ADDED = "added"
    UPDATED = "updated"
    DELETED = "deleted"


class RequestStatus(StrEnum):
    """Where a request stands. ``accepted``: a gateway took it; ``running``: a ``delete_all`` in progress."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One version of a memory: a row of ``memory_history``, append-only. It holds all that its event holds.

    ``memory`` is the state after the change (for a delete: with ``deleted_at``); ``index`` counts the
    changes of one request from 0.
    """

    kind: ChangeKind
    memory: Memory
    previous_text: str | None
    previous_metadata: dict[str, Any] | None
    request_id: str
    index: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a request did: ``text`` is the memory's after it (for a deletion: its last)."""

    kind: ChangeKind
    memory_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """What became of a request: a row of ``requests``.

    ``changes`` is the number of history rows it wrote. A request that wrote none has ``reason`` set when it
    failed, else it left everything ``unchanged``. ``memory_id`` is the memory it named, if it named one.
    """

    request_id: str
    scope: Scope
    op: Operation
    hash: str
    status: RequestStatus
    recorded_at: datetime
    changes: int = 0
    infer: bool = True
    memory_id: UUID | None = None
    reason: FailureReason | DeadLetterReason | None = None
    detail: str | None = None

    @property
    def key(self) -> RequestKey:
        """What identifies the request: project and request id."""
        return self.scope.project, self.request_id

    @property
    def is_open(self) -> bool:
        """Whether the request is still to be applied, or to be applied to the end."""
        return self.status in (RequestStatus.ACCEPTED, RequestStatus.RUNNING)

    @property
    def events(self) -> int:
        """How many events it has: one for each change, or one that says why there was none."""
        return max(self.changes, 1)
