"""What travels through the pipeline: a record with its request, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.trace import Span

from infra.telemetry.tracing import traceparent_of
from schemas.history import HistoryEntry, RequestKey, RequestOutcome
from schemas.problems import RecordRejectedError
from schemas.requests import MemoryRequest
from streams.records import Record


@dataclass(frozen=True, slots=True)
class Item:
    """A record that was decoded. ``span`` is there when its producer sent a trace context."""

    record: Record
    request: MemoryRequest
    span: Span | None = None

    @property
    def key(self) -> RequestKey:
        """What identifies the request: project and request id."""
        return self.request.project, self.request.request_id

    @property
    def traceparent(self) -> str | None:
        """The trace context for the events of this request."""
        return None if self.span is None else traceparent_of(self.span)

    def rejected(self, error: RecordRejectedError, stage: str) -> Rejected:
        """This item, for the dead-letter topic."""
        return Rejected(self.record, error, stage, self, self.span)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record for the dead-letter topic: why, and by which stage.

    ``item`` is there if it was readable, ``span`` if its producer sent a trace context.
    """

    record: Record
    error: RecordRejectedError
    stage: str
    item: Item | None = None
    span: Span | None = None

    def __post_init__(self) -> None:
        # An error holds the frames that it came through, and their variables: what was parsed of the record, and
        # the list that this will be in. In such a circle megabytes stay until a full garbage collection.
        self.error.with_traceback(None).__context__ = None


@dataclass(frozen=True, slots=True)
class Applied:
    """An item whose request stands in Postgres: its outcome and all that it changed.

    ``repeated`` says that it was applied earlier, perhaps by a worker that died before it was done.
    """

    item: Item
    outcome: RequestOutcome
    history: Sequence[HistoryEntry]
    repeated: bool
