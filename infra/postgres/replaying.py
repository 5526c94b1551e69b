"""What was done, in the order in which it was done, to be told once more. Methods block, as ``Database``'s do."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select, tuple_

from infra.postgres.engine import Connect
from infra.postgres.rows import entry_of, outcome_of
from infra.postgres.tables import memory_history, requests
from schemas.history import HistoryEntry, RequestOutcome, RequestStatus

_DONE = (RequestStatus.SUCCEEDED, RequestStatus.FAILED)


class Replaying:
    """Reads of the past, on the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def projects(self) -> list[str]:
        """Every project that has had a request."""
        with self._connect() as connection:
            return list(
                connection.execute(select(requests.c.project).distinct().order_by(requests.c.project)).scalars()
            )

    def outcomes(
        self,
        project: str,
        begin: datetime | None,
        end: datetime,
        last: RequestOutcome | None,
        limit: int,
    ) -> list[RequestOutcome]:
        """A page of what became of the project's requests in ``[begin, end)``, oldest first, behind ``last``."""
        at, id = requests.c.recorded_at, requests.c.request_id
        conditions: list[ColumnElement[bool]] = [
            requests.c.project == project,
            requests.c.status.in_(_DONE),
            at < end,
        ]
        if begin is not None:
            conditions.append(at >= begin)
        if last is not None:
            conditions.append(tuple_(at, id) > (last.recorded_at, last.request_id))
        statement = select(requests).where(*conditions).order_by(at, id).limit(limit)
        with self._connect() as connection:
            return [outcome_of(row) for row in connection.execute(statement)]

    def changes(
        self, ids: Collection[UUID], since: datetime, last: HistoryEntry | None, limit: int
    ) -> list[tuple[HistoryEntry, RequestOutcome]]:
        """A page of what was changed of these memories of one project, from ``since`` on, each with its request.

        In the order of memories and versions, behind ``last``.
        """
        history = memory_history.c
        place = tuple_(history.memory_id, history.version)
        conditions = [history.memory_id.in_(ids), history.recorded_at >= since]
        if last is not None:
            conditions.append(place > (last.memory.id, last.memory.version))
        statement = select(memory_history).where(*conditions).order_by(place).limit(limit)
        with self._connect() as connection:
            entries = [entry_of(row) for row in connection.execute(statement)]
            keys = {(entry.memory.scope.project, entry.request_id) for entry in entries}
            asked = select(requests).where(tuple_(requests.c.project, requests.c.request_id).in_(keys))
            outcomes = {one.key: one for one in map(outcome_of, connection.execute(asked))}
        return [(entry, outcomes[entry.memory.scope.project, entry.request_id]) for entry in entries]
