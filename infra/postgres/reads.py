"""Queries of the gateway, the command and the projection."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, FromClause, Uuid, any_, bindparam, func, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on

from infra.postgres.bounded import bounded, shown
from infra.postgres.engine import lift_statement_limit
from infra.postgres.filters import condition
from infra.postgres.rows import entry_of, memory_of, outcome_of
from infra.postgres.tables import memories, memory_history, projects, requests
from schemas.filters import Filter
from schemas.history import HistoryEntry, RequestOutcome
from schemas.memories import Memory
from schemas.scope import Scope

_IDS: Final = any_(bindparam("ids", type_=ARRAY(Uuid)))
_CURRENT: Final = select(memories).where(memories.c.id == _IDS)
#: What the projection needs. Metadata is not indexed, and read back it takes many times its bytes.
_WITHOUT_METADATA: Final = (
    *(column for column in memories.c if column.name != "metadata"),
    func.jsonb_build_object(type_=memories.c.metadata.type).label("metadata"),
)
_PROJECTED: Final = select(*_WITHOUT_METADATA).where(memories.c.id == _IDS)
_VERSIONS: Final = select(memories.c.id, memories.c.version).where(memories.c.id == _IDS)


def current(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Memory]:
    """The rows of these memories as they stand, deleted ones too."""
    return {row.id: memory_of(row) for row in connection.execute(_CURRENT, {"ids": list(ids)})}


def projected(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Memory]:
    """:func:`current`, without the metadata."""
    return {row.id: memory_of(row) for row in connection.execute(_PROJECTED, {"ids": list(ids)})}


def versions(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, int]:
    """The version of each of these memories, deleted ones too."""
    return {row.id: row.version for row in connection.execute(_VERSIONS, {"ids": list(ids)})}


def changed_between(
    connection: Connection, after: datetime, until: datetime, last: UUID | None, limit: int
) -> list[Memory]:
    """A page of the memories changed in ``(after, until]``, by their ids, from ``last`` on; without metadata."""
    conditions: list[ColumnElement[bool]] = [memories.c.changed_at > after, memories.c.changed_at <= until]
    if last is not None:
        conditions.append(memories.c.id > last)
    statement = select(*_WITHOUT_METADATA).where(*conditions).order_by(memories.c.id).limit(limit)
    return [memory_of(row) for row in connection.execute(statement)]


def ids_after(
    connection: Connection, last: UUID | None, limit: int, project: str | None, deleted: bool
) -> list[UUID]:
    """A page of the ids of memories, in their order, from behind ``last``."""
    conditions = _after(last, project, deleted)
    statement = select(memories.c.id).where(*conditions).order_by(memories.c.id).limit(limit)
    return list(connection.execute(statement).scalars())


def count_after(connection: Connection, last: UUID | None, project: str | None, deleted: bool) -> int:
    """How many memories there are behind ``last``, however long it takes to count them."""
    lift_statement_limit(connection)
    statement = select(func.count()).select_from(memories).where(*_after(last, project, deleted))
    count: int = connection.execute(statement).scalar_one()
    return count


def _after(last: UUID | None, project: str | None, deleted: bool) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if last is not None:
        conditions.append(memories.c.id > last)
    if project is not None:
        conditions.append(memories.c.project == project)
    if not deleted:
        conditions.append(memories.c.deleted_at.is_(None))
    return conditions


# A row's changed_at is taken inside of its transaction, after its first write, and seen when that commits, however
# much later. Transaction ids tell when nothing older than a moment can appear any more. A transaction that has
# written holds a lock on its id; those of other databases do not matter.
_MOMENT: Final = text("SELECT now(), pg_current_xact_id()::text")
_SETTLED: Final = text(
    "SELECT NOT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted AND datname = current_database()"
    " AND age(transactionid) > age(CAST(:mark AS xid8)::xid))"
)


def moment(connection: Connection) -> tuple[datetime, str]:
    """The clock, and a transaction id that is later than all that were given by then."""
    now, mark = connection.execute(_MOMENT).one()
    return now, mark


def settled(connection: Connection, mark: str) -> bool:
    """Whether all transactions before ``mark`` have ended."""
    return bool(connection.execute(_SETTLED, {"mark": mark}).scalar_one())


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
    mine = requests.c.project == project, requests.c.request_id == request_id
    statement = select(*shown(requests)).where(*mine)
    row = connection.execute(statement).one_or_none()
    return None if row is None else outcome_of(row)


def cursor_key(connection: Connection, project: str) -> bytes:
    """The secret of the project's cursors."""
    statement = select(projects.c.cursor_key).where(projects.c.id == project)
    return bytes(connection.execute(statement).scalar_one())
