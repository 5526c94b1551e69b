"""Queries of the gateway and the commands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, FromClause, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from infra.postgres.bounded import bounded, fitting, shown
from infra.postgres.filters import condition
from infra.postgres.rows import entry_of, memory_of, outcome_of
from infra.postgres.tables import memories, memory_history, projects, requests
from schemas.filters import Filter
from schemas.history import HistoryEntry, RequestOutcome
from schemas.memories import Memory
from schemas.scope import Scope


def current(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Memory]:
    """The rows of these memories as they stand, deleted ones too."""
    statement = select(memories).where(memories.c.id.in_(list(ids)))
    return {row.id: memory_of(row) for row in connection.execute(statement)}


def served(
    project: str,
    show_expired: bool,
    *,
    rows: FromClause = memories,
    at: datetime | None = None,
    scope: Scope | None = None,
    where: Filter | None = None,
) -> list[ColumnElement[bool]]:
    """The conditions on rows that the project may be shown: not deleted, and not expired ``at`` a time (now).

    ``scope`` and ``where`` ask for those of a scope, and for those that a filter holds for.
    """
    conditions: list[ColumnElement[bool]] = [rows.c.project == project, rows.c.deleted_at.is_(None)]
    if not show_expired:
        expires = rows.c.expires_at
        conditions.append(or_(expires.is_(None), expires > (at or func.now())))
    if scope is not None:
        conditions += [rows.c[field] == value for field, value in scope.ids.items()]
    if where is not None:
        conditions.append(condition(where, rows))
    return conditions


def live(connection: Connection, project: str, ids: Iterable[UUID], show_expired: bool) -> dict[UUID, Memory]:
    """Those of these memories that the project may be shown."""
    statement = select(memories).where(memories.c.id.in_(list(ids)), *served(project, show_expired))
    return {row.id: memory_of(row) for row in connection.execute(statement)}


def listed(
    connection: Connection,
    scope: Scope,
    limit: int,
    offset: int,
    show_expired: bool,
    where: Filter | None,
    as_of: datetime | None,
) -> tuple[int, list[Memory]]:
    """How many memories of the scope a filter holds for, and a page of them, newest first: ``bounded``."""
    rows: FromClause = memories if as_of is None else past(scope, as_of)
    conditions = served(scope.project, show_expired, rows=rows, at=as_of, scope=scope, where=where)
    total: int = connection.execute(select(func.count()).select_from(rows).where(*conditions)).scalar_one()
    statement = (
        select(*shown(rows))
        .where(*conditions)
        .order_by(rows.c.created_at.desc(), rows.c.id)
        .limit(limit)
        .offset(offset)
    )
    return total, [memory_of(row) for row in bounded(connection, statement)]


def past(scope: Scope, as_of: datetime, id: UUID | None = None) -> FromClause:
    """The rows of ``memories`` as they were at a time, deleted ones too, out of their history; or one of them."""
    columns = [
        memory_history.c.memory_id.label("id"),
        *(memory_history.c[column.name] for column in memories.c if column.name in memory_history.c),
    ]
    conditions = [memory_history.c[field] == value for field, value in scope.ids.items()]
    if id is not None:
        conditions.append(memory_history.c.memory_id == id)
    return (
        select(*columns)
        .where(memory_history.c.project == scope.project, memory_history.c.recorded_at <= as_of, *conditions)
        .ext(distinct_on(memory_history.c.memory_id))
        .order_by(memory_history.c.memory_id, memory_history.c.version.desc())
        .subquery()
    )


def history(connection: Connection, project: str, memory_id: UUID) -> list[HistoryEntry]:
    """Every version of a memory, oldest first, less the metadata before it: ``bounded``."""
    table = memory_history.c
    statement = (
        select(*shown(memory_history))
        .where(table.project == project, table.memory_id == memory_id)
        .order_by(table.version)
    )
    return [entry_of(row) for row in bounded(connection, statement)]


def request_history(
    connection: Connection, project: str, request_id: str, after: int, limit: int
) -> list[HistoryEntry]:
    """What a request changed, in the order of ``index``, a page from behind index ``after``: as far as it fits."""
    table = memory_history.c
    page = (
        select(memory_history)
        .where(table.project == project, table.request_id == request_id, table.index > after)
        .order_by(table.index)
        .limit(limit)
    )
    return [entry_of(row) for row in connection.execute(select(fitting(page)))]


def outcome(connection: Connection, project: str, request_id: str) -> RequestOutcome | None:
    """What became of a request."""
    mine = requests.c.project == project, requests.c.request_id == request_id
    statement = select(*shown(requests)).where(*mine)
    row = connection.execute(statement).one_or_none()
    return None if row is None else outcome_of(row)


def cursor_key(connection: Connection, project: str) -> bytes:
    """The secret of the project's cursors."""
    statement = select(projects.c.cursor_key).where(projects.c.id == project)
    return bytes(connection.execute(statement).scalar_one())
