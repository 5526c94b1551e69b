"""How far a request has come, told by its events or by the rows it left: the same answer from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.http.problems import ApiError, not_found
from schemas.events import TYPE_OF_CHANGE
from schemas.history import Change, RequestOutcome, RequestStatus
from schemas.inbound import InboundEvent
from schemas.problems import FailureReason

_CHANGE_OF_TYPE: Final = {kind: change for change, kind in TYPE_OF_CHANGE.items()}


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


def names_changes(op: str) -> bool:
    """Whether the answer to a call names what its request changed: for an ``add``, no more than the call brought.

    A ``delete_all`` may remove any number of memories, each with a large text.
    """
    return op == "add"


def change_of_event(event: InboundEvent) -> Change | None:
    """What an event says that was done, if it says so."""
    memory, kind = event.body.memory, _CHANGE_OF_TYPE.get(event.type)
    return None if memory is None or kind is None else Change(kind, memory.id, memory.text)


def progress_of_rows(outcome: RequestOutcome, changes: Sequence[Change] = ()) -> Progress:
    """What Postgres says."""
    return Progress(outcome.status, tuple(changes), outcome.reason, outcome.detail)
