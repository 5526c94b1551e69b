"""What was done, in the order in which it was done, to be told once more. Methods block, as ``Database``'s do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, select, text, tuple_

from infra.postgres.bounded import fitting, shown
from infra.postgres.engine import Connect, lift_statement_limit
from infra.postgres.errors import translated
from infra.postgres.locks import lock_project
from infra.postgres.rows import entry_of, outcome_of
from infra.postgres.tables import memory_history, requests
from infra.postgres.webhook_log import REDACTION
from schemas.history import HistoryEntry, RequestOutcome, RequestStatus

_DONE = (RequestStatus.SUCCEEDED, RequestStatus.FAILED)
# A page is read within the limits of a few statements, of 30 seconds each, and Kafka takes its records or refuses
# them within ``kafka.request_timeout_s``: so only who stands still is idle for that long.
_IDLE: Final = text("SET LOCAL idle_in_transaction_session_timeout = '5min'")


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

    def moments(
        self, project: str, begin: datetime | None, end: datetime, last: datetime | None, limit: int
    ) -> list[datetime]:
        """A page of the moments in ``[begin, end)`` at which requests were done, behind ``last``."""
        at = requests.c.recorded_at
        conditions: list[ColumnElement[bool]] = [*_done(project), at < end]
        if begin is not None:
            conditions.append(at >= begin)
        if last is not None:
            conditions.append(at > last)
        with self._connect() as connection:
            statement = select(at).where(*conditions).distinct().order_by(at).limit(limit)
            return list(connection.execute(statement).scalars())

    def outcomes(self, project: str, at: datetime) -> list[RequestOutcome]:
        """What became of the project's requests that were done at that moment."""
        done = select(*shown(requests)).where(*_done(project), requests.c.recorded_at == at)
        with self._connect() as connection:
            return [outcome_of(row) for row in connection.execute(done.order_by(requests.c.request_id))]

    @contextmanager
    def unredacted(self, project: str) -> Iterator[Callable[[], None]]:
        """No forgetting begins or ends in the project while this lasts.

        What it gives raises ``StoreUnavailableError`` when it does not last any more: Postgres ends it when
        nothing is asked for too long.
        """
        with self._connect() as connection:
            lift_statement_limit(connection)  # a redaction takes its time
            connection.execute(_IDLE)
            lock_project(connection, REDACTION, project, shared=True)

            def check() -> None:
                with translated():
                    connection.execute(text("SELECT 1"))

            yield check

    def changes(
        self, ids: Collection[UUID], since: datetime, last: HistoryEntry | None, limit: int
    ) -> list[tuple[HistoryEntry, RequestOutcome]]:
        """A page of what was changed of these memories of one project, from ``since`` on, each with its request.

        In the order of memories and versions, behind ``last``, as far as they fit.
        """
        history = memory_history.c
        place = tuple_(history.memory_id, history.version)
        conditions = [history.memory_id.in_(ids), history.recorded_at >= since]
        if last is not None:
            conditions.append(place > (last.memory.id, last.memory.version))
        page = select(memory_history).where(*conditions).order_by(place).limit(limit)
        with self._connect() as connection:
            entries = [entry_of(row) for row in connection.execute(select(fitting(page)))]
            keys = {(entry.memory.scope.project, entry.request_id) for entry in entries}
            asked = select(*shown(requests)).where(tuple_(requests.c.project, requests.c.request_id).in_(keys))
            outcomes = {one.key: one for one in map(outcome_of, connection.execute(asked))}
        return [(entry, outcomes[entry.memory.scope.project, entry.request_id]) for entry in entries]


def _done(project: str) -> list[ColumnElement[bool]]:
    return [requests.c.project == project, requests.c.status.in_(_DONE)]
