"""How far a request has come, told by its events or by the rows it left: the same answer from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway.http.problems import ApiError, not_found
from schemas.events import TYPE_OF_CHANGE, EventType
from schemas.history import ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.inbound import InboundEvent
from schemas.problems import FailureReason

_CHANGE_OF_TYPE: Final = {kind: change for change, kind in TYPE_OF_CHANGE.items()}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a request did: ``text`` is the memory's after it (for a deletion: its last)."""

    kind: ChangeKind
    memory_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a request; ``reason`` and ``detail`` say why it failed."""

    status: RequestStatus
    changes: tuple[Change, ...] = ()
    reason: str | None = None
    detail: str | None = None

    @property
    def done(self) -> bool:
        """Whether the request has succeeded."""
        return self.status is RequestStatus.SUCCEEDED

    def refusal(self, request_id: str) -> ApiError | None:
        """The answer to a caller whose request failed; None when it did not."""
        if self.status is not RequestStatus.FAILED:
            return None
        if self.reason == FailureReason.NOT_FOUND:
            return not_found()
        status = 412 if self.reason == FailureReason.VERSION_CONFLICT else 422
        detail = self.detail or "The request could not be carried out."
        return ApiError(status, self.reason or "failed", detail, event_id=request_id)


def progress_of_events(events: Sequence[InboundEvent]) -> Progress:
    """What all events of one request say, in order of their index."""
    for event in events:
        if event.type is EventType.FAILED:
            return Progress(RequestStatus.FAILED, (), event.body.reason, event.body.detail)
    changes = tuple(
        Change(kind, event.body.memory.id, event.body.memory.text)
        for event in events
        if event.body.memory is not None and (kind := _CHANGE_OF_TYPE.get(event.type)) is not None
    )
    return Progress(RequestStatus.SUCCEEDED, changes)


def progress_of_rows(outcome: RequestOutcome, entries: Sequence[HistoryEntry]) -> Progress:
    """What Postgres says."""
    changes = tuple(Change(entry.kind, entry.memory.id, entry.memory.text) for entry in entries)
    return Progress(outcome.status, changes, outcome.reason, outcome.detail)
