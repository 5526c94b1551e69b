"""What one transaction of the pipeline reads, locks and writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Text, Uuid, any_, bindparam, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY

from infra.postgres.bounded import fitting, shown
from infra.postgres.rows import (
    as_json,
    as_json_parts,
    entry_of,
    history_row,
    insertion,
    memory_of,
    memory_row,
    outcome_of,
    overwrite,
    request_row,
)
from infra.postgres.tables import memories, memory_history, requests
from schemas.history import HistoryEntry, RequestKey, RequestOutcome, RequestStatus
from schemas.memories import Memory
from schemas.problems import DeadLetterReason, RecordRejectedError, StoreUnavailableError
from schemas.requests import MemoryRequest
from schemas.scope import ENTITY_FIELDS, Scope
from schemas.sizes import TOGETHER_BYTES

_NOW: Final = select(func.clock_timestamp())
# Arrays, not a parameter for each: the statements stay the same whatever their number.
_KEYS: Final = func.unnest(bindparam("projects", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)))
_WANTED: Final = select(_KEYS.table_valued("project", "request_id").render_derived())
_OUTCOMES: Final = (
    select(*shown(requests))
    .where(tuple_(requests.c.project, requests.c.request_id).in_(_WANTED))
    .order_by(requests.c.project, requests.c.request_id)
    .with_for_update(of=requests)
)
_MEMORIES: Final = (
    select(memories)
    .where(memories.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(memories.c.id)
    .with_for_update()
)
_HISTORY: Final = (
    select(memory_history)
    .where(tuple_(memory_history.c.project, memory_history.c.request_id).in_(_WANTED))
    .order_by(memory_history.c.project, memory_history.c.request_id, memory_history.c.index)
)

_OPEN: Final = text(insertion(requests, "rows") + "ON CONFLICT (project, request_id) DO NOTHING")
# Only a request that is still open may be closed; one that somebody else closed in the meantime is left alone. The
# condition makes the requests' rows the first to be written: there, workers with the same requests meet.
_OVERWRITE: Final = f"ON CONFLICT (id) DO UPDATE SET {overwrite(c.name for c in memories.c if not c.primary_key)}"
_WRITE: Final = text(
    f"""
    WITH closed AS (
        {insertion(requests, "requests")}
        ON CONFLICT (project, request_id) DO UPDATE
        SET {overwrite(c.name for c in requests.c if not c.primary_key)}
        WHERE requests.status IN ('accepted', 'running') AND requests.hash = excluded.hash
        RETURNING 1
    ), written AS (
        {insertion(memories, "memories", "(SELECT count(*) FROM closed) = :count", clock="changed_at")}
        {_OVERWRITE}
    ), noted AS (
        {insertion(memory_history, "history", "(SELECT count(*) FROM closed) = :count")}
    )
    SELECT count(*) FROM closed
    """  # noqa: S608  # names of our own tables and columns only
)
_MORE_MEMORIES: Final = text(insertion(memories, "memories", clock="changed_at") + _OVERWRITE)
_MORE_HISTORY: Final = text(insertion(memory_history, "history"))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that a gateway accepted: its row, and the request as JSON values."""

    outcome: RequestOutcome
    payload: dict[str, Any]


class Transaction:
    """One open transaction. Rows are locked in the order of their ids, so that workers cannot deadlock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def now(self) -> datetime:
        """The database's clock. Ask after locking, so that a memory's later version is also later in time."""
        now: datetime = self._connection.execute(_NOW).scalar_one()
        return now

    def outcomes(self, keys: Iterable[RequestKey]) -> dict[RequestKey, RequestOutcome]:
        """What is known of these requests, locked."""
        if not (wanted := set(keys)):
            return {}
        found = self._connection.execute(_OUTCOMES, _arrays(wanted))
        return {outcome.key: outcome for outcome in map(outcome_of, found)}

    def memories(self, ids: Iterable[UUID]) -> dict[UUID, Memory]:
        """The rows of these memories, deleted ones too, locked."""
        if not (wanted := set(ids)):
            return {}
        return {row.id: memory_of(row) for row in self._connection.execute(_MEMORIES, {"ids": list(wanted)})}

    def history(self, keys: Iterable[RequestKey]) -> dict[RequestKey, list[HistoryEntry]]:
        """What these requests changed, each in the order of ``index``."""
        found: dict[RequestKey, list[HistoryEntry]] = {key: [] for key in keys}
        if not found:
            return found
        for row in self._connection.execute(_HISTORY, _arrays(found)):
            found[row.project, row.request_id].append(entry_of(row))
        return found

    def write(
        self,
        changed: Sequence[Memory],
        history: Sequence[HistoryEntry],
        outcomes: Sequence[RequestOutcome],
    ) -> None:
        """Write the batch's rows, in one statement unless they are large: many versions may share large metadata.

        Raises ``StoreUnavailableError`` when another worker closed one of the requests since they were read:
        the batch is tried again and then sees that request as applied.
        """
        if not outcomes:
            return
        memory_parts = as_json_parts(map(memory_row, changed))
        history_parts = as_json_parts(map(history_row, history))
        rows = {
            # In the order of their ids, as in accept: so neither waits for the other.
            "requests": as_json([request_row(outcome) for outcome in sorted(outcomes, key=lambda one: one.key)]),
            "memories": next(memory_parts),
            "history": next(history_parts),
        }
        closed = self._connection.execute(_WRITE, {**rows, "count": len(outcomes)}).scalar_one()
        if closed != len(outcomes):
            raise StoreUnavailableError("Postgres", "another worker is applying the same requests")
        for part in memory_parts:
            self._connection.execute(_MORE_MEMORIES, {"memories": part})
        for part in history_parts:
            self._connection.execute(_MORE_HISTORY, {"history": part})

    def claim_accepted(self, before: datetime, limit: int) -> list[Accepted]:
        """Requests that were accepted before that time and not applied; oldest first.

        Their rows are dated anew, so that nobody else claims them too soon.
        """
        oldest = (
            select(requests.c.project, requests.c.request_id)
            .where(requests.c.status == RequestStatus.ACCEPTED, requests.c.recorded_at < before)
            .order_by(requests.c.recorded_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(requests)
            .where(tuple_(requests.c.project, requests.c.request_id).in_(oldest))
            .values(recorded_at=func.clock_timestamp())
            .returning(requests)
        )
        return [Accepted(outcome_of(row), row.payload) for row in self._connection.execute(statement)]

    def accept(self, accepted: Sequence[MemoryRequest]) -> list[RequestOutcome]:
        """Make the rows of requests that are unknown, with their payloads; returns what stands of each.

        Raises ``RecordRejectedError`` when an id was used for another request.
        """
        at = self.now()
        rows = {request.request_id: request_row(opened(request, at), request.canonical()) for request in accepted}
        # In the order of their ids, so that two calls with the same requests cannot deadlock.
        self._connection.execute(_OPEN, {"rows": as_json([rows[id] for id in sorted(rows)])})
        stands = self.outcomes((request.project, request.request_id) for request in accepted)
        for request in accepted:
            if stands[request.project, request.request_id].hash != request.content_hash():
                raise RecordRejectedError(
                    DeadLetterReason.REQUEST_ID_CONFLICT,
                    f"request_id {request.request_id} was used for another request of project {request.project}",
                )
        return [stands[request.project, request.request_id] for request in accepted]

    def lock_request(self, outcome: RequestOutcome) -> RequestOutcome:
        """Make the request's row if there is none, lock it, and return it as it stands."""
        self._connection.execute(_OPEN, {"rows": as_json([request_row(outcome)])})
        return self.outcomes([outcome.key])[outcome.key]

    def live_in_scope(self, scope: Scope, limit: int, present: Collection[str] = ()) -> tuple[list[Memory], bool]:
        """The first live memories that have all ids of the scope, locked, and whether there may be more.

        By their ids, at most ``limit``, and as far as they fit. ``present`` names ids that they must have,
        whatever they are; all of them together ask for nothing, as every memory has one of them.
        """
        conditions = [memories.c[field] == value for field, value in scope.ids.items()]
        if set(present) != set(ENTITY_FIELDS):
            conditions += [memories.c[field].is_not(None) for field in present]
        page = (
            select(memories)
            .where(memories.c.project == scope.project, memories.c.deleted_at.is_(None), *conditions)
            .order_by(memories.c.id)
            .limit(limit)
        )
        # What is summed up cannot be locked. They are locked after it; one that was deleted meanwhile is left out.
        fit = fitting(page).c
        found = self._connection.execute(select(fit.id, fit.bytes_so_far)).all()
        rows = self.memories(row.id for row in found)
        more = len(found) == limit or any(row.bytes_so_far > TOGETHER_BYTES for row in found)
        return [row for row in rows.values() if row.deleted_at is None], more


def _arrays(keys: Collection[RequestKey]) -> dict[str, list[str]]:
    return {"projects": [project for project, _ in keys], "ids": [request_id for _, request_id in keys]}


def opened(request: MemoryRequest, at: datetime) -> RequestOutcome:
    """What stands of a request that was accepted and is still to be applied."""
    return RequestOutcome(
        request_id=request.request_id,
        scope=request.scope,
        op=request.op,
        hash=request.content_hash(),
        status=RequestStatus.ACCEPTED,
        recorded_at=at,
        infer=request.infer,
        memory_id=request.memory_id,
    )
