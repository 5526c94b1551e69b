"""What one transaction of the pipeline reads, locks and writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, tuple_, update

from infra.postgres.rows import (
    entry_of,
    history_row,
    insert_rows,
    memory_of,
    memory_row,
    outcome_of,
    overwrite,
    request_row,
)
from infra.postgres.tables import memories, memory_history, requests
from schemas.history import HistoryEntry, RequestOutcome, RequestStatus
from schemas.memories import Memory
from schemas.problems import DeadLetterReason, RecordRejectedError, StoreUnavailableError
from schemas.requests import MemoryRequest
from schemas.scope import ENTITY_FIELDS, Scope

RequestKey = tuple[str, str]

_UPSERT_MEMORY = "ON CONFLICT (id) DO UPDATE SET " + overwrite(
    column.name for column in memories.columns if not column.primary_key
)
# Only a request that is still open may be closed; one that somebody else closed in the meantime is left alone.
_CLOSE_REQUEST = (
    "ON CONFLICT (project, request_id) DO UPDATE SET "
    + overwrite(c.name for c in requests.columns if not c.primary_key)
    + " WHERE requests.status IN ('accepted', 'running') AND requests.hash = excluded.hash"
)


class Transaction:
    """One open transaction. Rows are locked in the order of their ids, so that workers cannot deadlock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def now(self) -> datetime:
        """The database's clock. Ask after locking, so that a memory's later version is also later in time."""
        now: datetime = self._connection.execute(select(func.clock_timestamp())).scalar_one()
        return now

    def outcomes(self, keys: Iterable[RequestKey]) -> dict[RequestKey, RequestOutcome]:
        """What is known of these requests, locked."""
        wanted = sorted(set(keys))
        if not wanted:
            return {}
        statement = (
            select(requests)
            .where(tuple_(requests.c.project, requests.c.request_id).in_(wanted))
            .order_by(requests.c.project, requests.c.request_id)
            .with_for_update()
        )
        return {outcome.key: outcome for outcome in map(outcome_of, self._connection.execute(statement))}

    def memories(self, ids: Iterable[UUID]) -> dict[UUID, Memory]:
        """The rows of these memories, deleted ones too, locked."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        statement = select(memories).where(memories.c.id.in_(wanted)).order_by(memories.c.id).with_for_update()
        return {row.id: memory_of(row) for row in self._connection.execute(statement)}

    def history(self, keys: Iterable[RequestKey]) -> dict[RequestKey, list[HistoryEntry]]:
        """What these requests changed, each in the order of ``index``."""
        wanted = sorted(set(keys))
        found: dict[RequestKey, list[HistoryEntry]] = {key: [] for key in wanted}
        if not wanted:
            return found
        table = memory_history.c
        statement = (
            select(memory_history)
            .where(tuple_(table.project, table.request_id).in_(wanted))
            .order_by(table.project, table.request_id, table.index)
        )
        for row in self._connection.execute(statement):
            found[row.project, row.request_id].append(entry_of(row))
        return found

    def write(
        self,
        changed: Sequence[Memory],
        history: Sequence[HistoryEntry],
        outcomes: Sequence[RequestOutcome],
    ) -> None:
        """Write the batch's rows.

        Raises ``StoreUnavailableError`` when another worker closed one of the requests since they were read:
        the batch is tried again and then sees that request as applied.
        """
        connection = self._connection
        closed = insert_rows(connection, requests, [request_row(o) for o in outcomes], _CLOSE_REQUEST)
        if closed != len(outcomes):
            raise StoreUnavailableError("Postgres", "another worker is applying the same requests")
        at = self.now()
        rows = [{**memory_row(memory), "changed_at": at} for memory in changed]
        insert_rows(connection, memories, rows, _UPSERT_MEMORY)
        insert_rows(connection, memory_history, [history_row(entry) for entry in history])

    def claim_accepted(self, before: datetime, limit: int) -> list[dict[str, Any]]:
        """The payloads of requests that were accepted before that time and not applied; oldest first.

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
            .returning(requests.c.payload)
        )
        return [row.payload for row in self._connection.execute(statement)]

    def accept(self, accepted: Sequence[MemoryRequest]) -> list[RequestOutcome]:
        """Make the rows of requests that are unknown, with their payloads; returns what stands of each.

        Raises ``RecordRejectedError`` when an id was used for another request.
        """
        at = self.now()
        rows = {request.request_id: request_row(opened(request, at), request.canonical()) for request in accepted}
        # In the order of their ids, so that two calls with the same requests cannot deadlock.
        insert_rows(
            self._connection,
            requests,
            [rows[id] for id in sorted(rows)],
            "ON CONFLICT (project, request_id) DO NOTHING",
        )
        stands = self.outcomes((request.project, request.request_id) for request in accepted)
        for request in accepted:
            if stands[request.project, request.request_id].hash != request.content_hash():
                raise RecordRejectedError(
                    DeadLetterReason.REQUEST_ID_CONFLICT,
                    f"request_id {request.request_id} was used for another request of project {request.project}",
                )
        return [stands[request.project, request.request_id] for request in accepted]

    def lock_request(self, outcome: RequestOutcome, payload: dict[str, Any] | None = None) -> RequestOutcome:
        """Make the request's row if there is none, lock it, and return it as it stands."""
        row = request_row(outcome, payload)
        insert_rows(self._connection, requests, [row], "ON CONFLICT (project, request_id) DO NOTHING")
        return self.outcomes([outcome.key])[outcome.key]

    def live_in_scope(self, scope: Scope, limit: int, present: Collection[str] = ()) -> list[Memory]:
        """Live memories that have all ids of the scope, locked, at most ``limit``, in the order of their ids.

        ``present`` names ids that they must have, whatever they are; all of them together ask for nothing, as
        every memory has one of them.
        """
        conditions = [memories.c[field] == value for field, value in scope.ids.items()]
        if set(present) != set(ENTITY_FIELDS):
            conditions += [memories.c[field].is_not(None) for field in present]
        statement = (
            select(memories)
            .where(memories.c.project == scope.project, memories.c.deleted_at.is_(None), *conditions)
            .order_by(memories.c.id)
            .limit(limit)
            .with_for_update()
        )
        return [memory_of(row) for row in self._connection.execute(statement)]


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
