"""What the gateway looks up beside plain lists. Each method blocks and raises what ``Database``'s methods do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Select, TableValuedAlias, Uuid, column, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from infra.postgres.bounded import TooLargeError, bounded, shown
from infra.postgres.engine import Connect
from infra.postgres.reads import past, served
from infra.postgres.rows import change_of, memory_of, outcome_of, scope_of
from infra.postgres.tables import memories, memory_history, requests
from schemas.filters import Filter
from schemas.history import Change, RequestOutcome
from schemas.memories import Memory
from schemas.scope import ENTITY_FIELDS, Scope

_CHANGES_SHOWN: Final = 1_000
#: The same for each request in a list of them.
_CHANGES_LISTED: Final = 100
#: Requests are counted up to here: a project may have had millions, and each page would count them all.
_COUNTED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Entity:
    """A user, agent, app or run that has live memories."""

    kind: str
    name: str
    memories: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredMemory:
    """What a change of a memory needs to know of it."""

    id: UUID
    scope: Scope
    deleted_at: datetime | None


class Browsing:
    """Reads of one project, on the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def stored(self, project: str, ids: Iterable[UUID]) -> dict[UUID, StoredMemory]:
        """Those of these memories that the project has, deleted and expired ones too."""
        table = memories.c
        columns = table.id, table.project, *(table[field] for field in ENTITY_FIELDS), table.deleted_at
        statement = select(*columns).where(table.project == project, table.id.in_(list(ids)))
        with self._connect(project) as connection:
            found = connection.execute(statement)
            return {row.id: StoredMemory(row.id, scope_of(row), row.deleted_at) for row in found}

    def memory_at(self, project: str, id: UUID, as_of: datetime, show_expired: bool) -> Memory | None:
        """The memory as it stood at a past moment, if it was live then."""
        rows = past(Scope(project), as_of, id)
        statement = select(rows).where(*served(project, show_expired, rows=rows, at=as_of))
        with self._connect(project) as connection:
            row = connection.execute(statement).one_or_none()
            return None if row is None else memory_of(row)

    def first_matching(
        self, scope: Scope, where: Filter | None, show_expired: bool, ids: Sequence[UUID], limit: int
    ) -> list[Memory]:
        """Those of these memories that are live and of the scope, and that the filter holds for: ``bounded``.

        The first ``limit`` of them, in the order of ``ids``.
        """
        conditions = served(scope.project, show_expired, scope=scope, where=where)
        ranked = _ranked(ids)
        statement = (
            select(*shown(memories))
            .join(ranked, ranked.c.id == memories.c.id)
            .where(*conditions)
            .order_by(ranked.c.place)
            .limit(limit)
        )
        with self._connect(scope.project) as connection:
            return [memory_of(row) for row in bounded(connection, statement)]

    def matching_ids(
        self, scope: Scope, where: Filter | None, show_expired: bool, limit: int, after: UUID | None = None
    ) -> list[UUID]:
        """A page of the ids of live memories of the scope that the filter holds for, from behind ``after``."""
        conditions = served(scope.project, show_expired, scope=scope, where=where)
        if after is not None:
            conditions.append(memories.c.id > after)
        statement = select(memories.c.id).where(*conditions).order_by(memories.c.id).limit(limit)
        with self._connect(scope.project) as connection:
            return list(connection.execute(statement).scalars())

    def entities(self, project: str, limit: int | None, offset: int = 0) -> tuple[int, list[Entity]]:
        """How many entities have live memories, and a page of them (None: all), newest first."""
        kinds = union_all(*(self._entities(project, field) for field in ENTITY_FIELDS)).subquery()
        statement = (
            select(kinds)
            .order_by(kinds.c.created_at.desc(), kinds.c.kind, kinds.c.name)
            .limit(limit)
            .offset(offset)
        )
        with self._connect(project) as connection:
            total: int = connection.execute(select(func.count()).select_from(kinds)).scalar_one()
            return total, [Entity(*row) for row in connection.execute(statement)]

    def requests(
        self, project: str, limit: int, offset: int
    ) -> tuple[int, list[tuple[RequestOutcome, list[Change]]]]:
        """How many requests the project has had, and a page of what became of them, latest first.

        Each comes with its first changes, 100 at most: ``bounded``, those of a lone request as far as they fit.
        The count ends at 10,000, or behind this page: it is always beyond the page when there are more.
        """
        mine = requests.c.project == project
        statement = (
            select(*shown(requests))
            .where(mine)
            .order_by(requests.c.recorded_at.desc(), requests.c.request_id)
            .limit(limit + 1)
            .offset(offset)
        )
        counted = select(requests.c.request_id).where(mine).limit(_COUNTED_MAX).subquery()
        with self._connect(project) as connection:
            total: int = connection.execute(select(func.count()).select_from(counted)).scalar_one()
            outcomes = [outcome_of(row) for row in connection.execute(statement)]
            if outcomes:
                total = max(total, offset + len(outcomes))
            page = outcomes[:limit]
            ids = [outcome.request_id for outcome in page]
            changes = _changes(connection, project, ids, _CHANGES_LISTED)
            return total, [(outcome, changes[outcome.request_id]) for outcome in page]

    def changes(self, project: str, request_id: str) -> list[Change]:
        """The first changes of a request in the order of ``index``: 1,000 at most, and as far as they fit."""
        with self._connect(project) as connection:
            return _changes(connection, project, [request_id], _CHANGES_SHOWN)[request_id]

    def _entities(self, project: str, field: str) -> Select[str, str, int, datetime, datetime]:
        name = memories.c[field]
        return (
            select(
                literal(field.removesuffix("_id")).label("kind"),
                name.label("name"),
                func.count().label("memories"),
                func.min(memories.c.created_at).label("created_at"),
                func.max(memories.c.updated_at).label("updated_at"),
            )
            .where(*served(project, False), name.is_not(None))
            .group_by(name)
        )


def _ranked(ids: Sequence[UUID]) -> TableValuedAlias:
    """The ids as rows, each with its place."""
    values = func.unnest(literal(list(ids), ARRAY(Uuid)))
    return values.table_valued(column("id", Uuid), with_ordinality="place", name="ranked").render_derived()


def _changes(
    connection: Connection, project: str, request_ids: Sequence[str], most: int
) -> dict[str, list[Change]]:
    """The first changes of each of these requests: ``bounded``."""
    table = memory_history.c
    statement = (
        select(table.request_id, table.kind, table.memory_id, table.text)
        .where(table.project == project, table.request_id.in_(request_ids), table.index < most)
        .order_by(table.index)
    )
    found: dict[str, list[Change]] = {id: [] for id in request_ids}
    try:
        for row in bounded(connection, statement):
            found[row.request_id].append(change_of(row))
    except TooLargeError:
        # Nobody could ask for fewer than one, and must learn what became of it.
        if len(request_ids) > 1:
            raise
    return found
