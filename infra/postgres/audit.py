"""What operators did by hand, for good. Each method blocks and raises what ``Database``'s methods do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from infra.postgres.engine import Connect
from infra.postgres.tables import audit


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what. ``detail`` never holds what a memory or a record holds."""

    project: str | None
    action: str
    subject: str
    detail: Mapping[str, Any]
    actor: str
    recorded_at: datetime | None = None


class Audit:
    """Writes and reads entries, on the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def record(self, *entries: AuditEntry, project: str = "") -> None:
        """Write entries down, all or none; behind the wall those of one project."""
        with self._connect(project) as connection:
            for entry in entries:
                record(connection, entry)

    def is_there(self) -> bool:
        """Whether the schema has an audit: those of before its migration can be dumped, too."""
        with self._connect() as connection:
            return bool(connection.execute(text("SELECT to_regclass('audit') IS NOT NULL")).scalar_one())

    def of(self, subjects: Collection[str]) -> list[AuditEntry]:
        """All that was done to these, oldest first."""
        statement = select(audit).where(audit.c.subject.in_(list(subjects))).order_by(audit.c.id)
        with self._connect() as connection:
            return [
                AuditEntry(row.project, row.action, row.subject, row.detail, row.actor, row.recorded_at)
                for row in connection.execute(statement)
            ]


def record(connection: Connection, entry: AuditEntry) -> None:
    """Write an entry down, with what else the transaction does."""
    connection.execute(
        insert(audit).values(
            project=entry.project,
            action=entry.action,
            subject=entry.subject,
            detail=dict(entry.detail),
            actor=entry.actor,
        )
    )
