"""Queries of the projection: what the index is to say of memories, and which of them to look at next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Uuid, any_, bindparam, case, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from infra.postgres.bounded import fitting
from infra.postgres.engine import lift_statement_limit
from infra.postgres.rows import memory_of, standing_of
from infra.postgres.tables import memories
from schemas.memories import Memory, Standing
from schemas.scope import ENTITY_FIELDS

_MINE: Final = memories.c.id == any_(bindparam("ids", type_=ARRAY(Uuid)))
_TO_EMBED: Final = memories.c.deleted_at.is_(None) & memories.c.vector.is_(None)
_PROJECTED: Final = select(
    fitting(
        select(
            *(column for column in memories.c if column.name not in ("text", "metadata")),
            case((_TO_EMBED, memories.c.text), else_="").label("text"),
            func.jsonb_build_object(type_=memories.c.metadata.type).label("metadata"),
        )
        .where(_MINE)
        .order_by(memories.c.id)
    )
)
#: The columns of a ``Standing``.
STANDING: Final = [
    memories.c[name] for name in ("id", "project", *ENTITY_FIELDS, "version", "deleted_at", "vector")
]
_STANDING: Final = select(*STANDING).where(_MINE)
_VERSIONS: Final = select(memories.c.id, memories.c.version).where(_MINE)


def projected(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Memory]:
    """The first of these memories by their ids, deleted ones too, as far as they fit.

    Without metadata, and with the texts alone that are to be embedded.
    """
    return {row.id: memory_of(row) for row in connection.execute(_PROJECTED, {"ids": list(ids)})}


def standing(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Standing]:
    """How these memories stand, deleted ones too."""
    return {row.id: standing_of(row) for row in connection.execute(_STANDING, {"ids": list(ids)})}


def versions(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, int]:
    """The version of each of these memories, deleted ones too."""
    return {row.id: row.version for row in connection.execute(_VERSIONS, {"ids": list(ids)})}


def changed_between(
    connection: Connection, after: datetime, until: datetime, last: UUID | None, limit: int
) -> dict[UUID, int | None]:
    """The versions of a page of the memories changed in ``(after, until]``, by their ids, from behind ``last``.

    That of a deleted one is None.
    """
    conditions: list[ColumnElement[bool]] = [memories.c.changed_at > after, memories.c.changed_at <= until]
    if last is not None:
        conditions.append(memories.c.id > last)
    live = case((memories.c.deleted_at.is_(None), memories.c.version)).label("version")
    statement = select(memories.c.id, live).where(*conditions).order_by(memories.c.id).limit(limit)
    return {row.id: row.version for row in connection.execute(statement)}


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
