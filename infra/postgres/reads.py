"""Queries of the gateway, the command and the projection."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, or_, select

from infra.postgres.rows import entry_of, memory_of, outcome_of
from infra.postgres.tables import memories, memory_history, requests
from schemas.history import HistoryEntry, RequestOutcome
from schemas.memories import Memory
from schemas.scope import Scope


def current(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Memory]:
    """The rows of these memories as they stand, deleted ones too."""
    statement = select(memories).where(memories.c.id.in_(list(ids)))
    return {row.id: memory_of(row) for row in connection.execute(statement)}


def versions(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, int]:
    """The version of each of these memories, deleted ones too."""
    statement = select(memories.c.id, memories.c.version).where(memories.c.id.in_(list(ids)))
    return {row.id: row.version for row in connection.execute(statement)}


def changed_between(
    connection: Connection, after: datetime, until: datetime, last: UUID | None, limit: int
) -> list[Memory]:
    """A page of the memories changed in ``(after, until]``, in the order of their ids, from ``last`` on."""
    conditions: list[ColumnElement[bool]] = [memories.c.changed_at > after, memories.c.changed_at <= until]
    if last is not None:
        conditions.append(memories.c.id > last)
    statement = select(memories).where(*conditions).order_by(memories.c.id).limit(limit)
    return [memory_of(row) for row in connection.execute(statement)]


def _served(project: str, show_expired: bool) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [memories.c.project == project, memories.c.deleted_at.is_(None)]
    if not show_expired:
        expires = memories.c.expires_at
        conditions.append(or_(expires.is_(None), expires > func.now()))
    return conditions


def live(connection: Connection, project: str, ids: Iterable[UUID], show_expired: bool) -> dict[UUID, Memory]:
    """Those of these memories that the project may be shown."""
    statement = select(memories).where(memories.c.id.in_(list(ids)), *_served(project, show_expired))
    return {row.id: memory_of(row) for row in connection.execute(statement)}


def listed(
    connection: Connection, scope: Scope, limit: int, offset: int, show_expired: bool
) -> tuple[int, list[Memory]]:
    """How many memories the scope has, and a page of them, newest first."""
    conditions = _served(scope.project, show_expired)
    conditions += [getattr(memories.c, field) == value for field, value in scope.ids.items()]
    total: int = connection.execute(select(func.count()).select_from(memories).where(*conditions)).scalar_one()
    statement = (
        select(memories)
        .where(*conditions)
        .order_by(memories.c.created_at.desc(), memories.c.id)
        .limit(limit)
        .offset(offset)
    )
    return total, [memory_of(row) for row in connection.execute(statement)]


def history(connection: Connection, project: str, memory_id: UUID) -> list[HistoryEntry]:
    """Every version of a memory, oldest first."""
    table = memory_history.c
    statement = (
        select(memory_history)
        .where(table.project == project, table.memory_id == memory_id)
        .order_by(table.version)
    )
    return [entry_of(row) for row in connection.execute(statement)]


def request_history(
    connection: Connection, project: str, request_id: str, after: int, limit: int
) -> list[HistoryEntry]:
    """What a request changed, in the order of ``index``, a page from behind index ``after``."""
    table = memory_history.c
    statement = (
        select(memory_history)
        .where(table.project == project, table.request_id == request_id, table.index > after)
        .order_by(table.index)
        .limit(limit)
    )
    return [entry_of(row) for row in connection.execute(statement)]


def outcome(connection: Connection, project: str, request_id: str) -> RequestOutcome | None:
    """What became of a request."""
    statement = select(requests).where(requests.c.project == project, requests.c.request_id == request_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else outcome_of(row)
