"""Opening a request again that was dead-lettered, so that its record may be published once more.

Law 3 lets the first outcome of a request stand, and so a record that comes again changes nothing, or is set aside
again. To replay it after its cause was mended is a decision of an operator: it takes the failure back and leaves
the request ``accepted`` with its payload, as a gateway does before it publishes. From there on all is as ever:
should the record never arrive, workers publish it, and should it arrive twice, the second one changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from sqlalchemy import Connection, func, select, update

from infra.postgres import audit
from infra.postgres.audit import AuditEntry
from infra.postgres.engine import Connect
from infra.postgres.rows import outcome_of, request_row
from infra.postgres.tables import memory_history, requests
from infra.postgres.writes import opened
from schemas.history import RequestStatus
from schemas.problems import DeadLetterReason
from schemas.requests import MemoryRequest


class Standing(StrEnum):
    """What a request meets when it is published again."""

    #: Nobody knows its id.
    NEW = "new"
    #: It was dead-lettered, and may be opened again.
    FAILED = "failed"
    #: It is still to be applied, or was: to publish it again does no harm, and announces again what it did.
    KNOWN = "known"
    #: Another request has its id.
    CONFLICT = "conflict"


class Reopening:
    """On the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def standing(self, request: MemoryRequest) -> Standing:
        """What the request would meet now."""
        with self._connect() as connection:
            return _standing(connection, request)[0]

    def reopen(self, request: MemoryRequest, entry: AuditEntry) -> Standing:
        """Open the request again if it was dead-lettered, and write ``entry`` down with that.

        The request may differ from the one that failed, unless that had changed anything. Returns what stood.
        """
        with self._connect() as connection:
            standing, changes = _standing(connection, request, lock=True)
            if standing is Standing.FAILED:
                now = connection.execute(select(func.clock_timestamp())).scalar_one()
                reopened = replace(opened(request, now), changes=changes)
                connection.execute(
                    update(requests)
                    .where(requests.c.project == request.project, requests.c.request_id == request.request_id)
                    .values(request_row(reopened, request.canonical()))
                )
                audit.record(connection, entry)
            return standing


def _standing(connection: Connection, request: MemoryRequest, *, lock: bool = False) -> tuple[Standing, int]:
    """What the request meets, and how many changes it has made."""
    statement = select(requests).where(
        requests.c.project == request.project, requests.c.request_id == request.request_id
    )
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        return Standing.NEW, 0
    outcome = outcome_of(row)
    same = outcome.hash == request.content_hash()
    if outcome.status is not RequestStatus.FAILED or not isinstance(outcome.reason, DeadLetterReason):
        return Standing.KNOWN if same else Standing.CONFLICT, 0
    # A delete_all may have failed on its way.
    table = memory_history.c
    changes: int = connection.execute(
        select(func.count())
        .select_from(memory_history)
        .where(table.project == request.project, table.request_id == request.request_id)
    ).scalar_one()
    return Standing.FAILED if same or not changes else Standing.CONFLICT, changes
