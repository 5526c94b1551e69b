"""What the gateway looks up beside plain lists. Each method blocks and raises what ``Database``'s methods do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Select, TableValuedAlias, Uuid, column, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from infra.postgres.bounded import bounded, shown
from infra.postgres.engine import Connect
from infra.postgres.reads import past, served
from infra.postgres.rows import entry_of, memory_of, outcome_of
from infra.postgres.tables import memories, memory_history, requests
from schemas.filters import Filter
from schemas.history import HistoryEntry, RequestOutcome
from schemas.memories import Memory
from schemas.scope import ENTITY_FIELDS, Scope

_CHANGES_SHOWN: Final = 100
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


class Browsing:
    """Reads of one project, on the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def stored(self, project: str, ids: Iterable[UUID]) -> dict[UUID, Memory]:
        """Those of these memories that the project has, deleted and expired ones too."""
        statement = select(memories).where(memories.c.project == project, memories.c.id.in_(list(ids)))
        with self._connect(project) as connection:
            return {row.id: memory_of(row) for row in connection.execute(statement)}

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
    ) -> tuple[int, list[tuple[RequestOutcome, list[HistoryEntry]]]]:
        """How many requests the project has had, and a page of what became of them, latest first.

        Each comes with its first changes, 100 at most. The count ends at 10,000, or behind this page: it is always
        beyond the page when there are more.
        """
        mine = requests.c.project == project
        statement = (
            select(requests)
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
            table = memory_history.c
            named = table.request_id.in_([outcome.request_id for outcome in page])
            changes: dict[str, list[HistoryEntry]] = {outcome.request_id: [] for outcome in page}
            found = select(memory_history).where(table.project == project, named, table.index < _CHANGES_SHOWN)
            for row in connection.execute(found.order_by(table.index)):
                changes[row.request_id].append(entry_of(row))
            return total, [(outcome, changes[outcome.request_id]) for outcome in page]

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
