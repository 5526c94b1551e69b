"""The collections of the search index: which there are, which serves, and how far each was brought.

It is recorded here and not in Weaviate (whose aliases could switch as well), because a worker must learn of a new
collection from the same store as of the rows that it writes there: whoever reads the rows of a batch and then this
table cannot write them into too few collections. See ``agents.maintenance.rebuild``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from infra.postgres import audit
from infra.postgres.audit import AuditEntry
from infra.postgres.engine import Connect
from infra.postgres.tables import search_collections as table
from schemas.problems import MisconfiguredError

# Made once: each batch asks it.
_KNOWN: Final = select(table).where(table.c.base == bindparam("base")).order_by(table.c.created_at, table.c.name)


class CollectionState(StrEnum):
    """In this order, except that a collection that was the first of its index is ``serving`` at once."""

    #: It has a name, and perhaps is there already.
    PLANNED = "planned"
    #: It is being filled; what changes is written to it too.
    BUILDING = "building"
    #: Searches of processes with its model go to it.
    SERVING = "serving"
    #: Another serves in its place; what changes is still written to it, for processes that do not know yet.
    RETIRING = "retiring"
    #: Nobody writes to it any more; it is to be removed.
    DROPPING = "dropping"


#: What changes is written to the collections in these states.
WRITTEN = (CollectionState.BUILDING, CollectionState.SERVING, CollectionState.RETIRING)


@dataclass(frozen=True, slots=True)
class SearchCollection:
    """A collection of the index ``base`` (the setting ``weaviate.collection``), for the vectors of ``model``."""

    name: str
    base: str
    model: str
    state: CollectionState
    created_at: datetime
    filled_to: UUID | None = None
    swept_until: datetime | None = None
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """How far the workers' verification is: in the rows, or in the objects; behind which id."""

    objects: bool = False
    after: UUID | None = None
    #: When the last one ended.
    verified_at: datetime | None = None


def written_to(collections: Sequence[SearchCollection], base: str, model: str) -> list[str]:
    """The names of the collections that a process with this model writes to, the one that serves first.

    An index of which nothing is recorded is one collection of that name. Raises ``MisconfiguredError`` when there
    are collections of other models only.
    """
    mine = [one for one in collections if one.model == model and one.state in WRITTEN]
    if not collections:
        return [base]
    if not mine:
        raise _other_model(collections, base, model)
    return [one.name for one in sorted(mine, key=lambda one: one.state is not CollectionState.SERVING)]


def serving(collections: Sequence[SearchCollection], base: str, model: str) -> str:
    """The name of the collection that a process with this model searches; raises as :func:`written_to`."""
    for one in collections:
        if one.model == model and one.state is CollectionState.SERVING:
            return one.name
    if collections:
        raise _other_model(collections, base, model)
    return base


def _other_model(collections: Sequence[SearchCollection], base: str, model: str) -> MisconfiguredError:
    held = " and ".join(sorted({one.model for one in collections if one.state is CollectionState.SERVING}))
    return MisconfiguredError(
        f"The index {base} holds vectors of {held or 'no model yet'}, but {model} is configured. "
        "Set the embedding settings back, or build the index for the new ones first: agentmem rebuild."
    )


class Collections:
    """Reads and changes them, on the database's connections. A change and its ``entry`` are one transaction."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def of(self, base: str) -> list[SearchCollection]:
        """All of an index, whatever their model and state, oldest first."""
        with self._connect() as connection:
            return collections_of(connection, base)

    def register(
        self, name: str, base: str, model: str, state: CollectionState, entry: AuditEntry | None = None
    ) -> None:
        """Record a collection unless it is known."""
        row = insert(table).values(
            name=name, base=base, model=model, state=state, created_at=func.clock_timestamp()
        )
        with self._connect() as connection:
            done = connection.execute(row.on_conflict_do_nothing(index_elements=["name"]).returning(table.c.name))
            if entry is not None and done.one_or_none() is not None:
                audit.record(connection, entry)

    def advance(
        self, name: str, before: CollectionState, after: CollectionState, entry: AuditEntry | None = None
    ) -> bool:
        """Bring a collection from one state to the next; False when it is not in the first one."""
        with self._connect() as connection:
            return _advance(connection, name, before, after, entry)

    def switch(self, name: str, swept_until: datetime, entry: AuditEntry | None = None) -> bool:
        """Let a collection that was built serve in place of those of its model; False when it is not building."""
        with self._connect() as connection:
            built = CollectionState.BUILDING
            if not _advance(connection, name, built, CollectionState.SERVING, entry, swept_until=swept_until):
                return False
            here = select(table.c.base, table.c.model).where(table.c.name == name).subquery()
            connection.execute(
                update(table)
                .where(
                    table.c.base == select(here.c.base).scalar_subquery(),
                    table.c.model == select(here.c.model).scalar_subquery(),
                    table.c.state == CollectionState.SERVING,
                    table.c.name != name,
                )
                .values(state=CollectionState.RETIRING)
            )
            return True

    def filled(self, name: str, to: UUID | None) -> None:
        """Note how far a collection is filled."""
        with self._connect() as connection:
            connection.execute(update(table).where(table.c.name == name).values(filled_to=to))

    def swept(self, name: str, until: datetime) -> None:
        """Note that all that changed until then was compared."""
        later = func.greatest(table.c.swept_until, until)
        with self._connect() as connection:
            connection.execute(update(table).where(table.c.name == name).values(swept_until=later))

    def claim_verification(self, name: str, lease_s: float) -> Pass | None:
        """The page to verify next, if one is due: nobody else is given it for so many seconds."""
        now = func.clock_timestamp()
        claim = (
            update(table)
            .where(table.c.name == name, table.c.verify_due <= now)
            .values(verify_due=now + timedelta(seconds=lease_s))
            .returning(table.c.verify_objects, table.c.verify_after, table.c.verified_at)
        )
        with self._connect() as connection:
            row = connection.execute(claim).one_or_none()
            return None if row is None else Pass(*row)

    def verified(self, name: str, reached: Pass, due_s: float, *, passed: bool) -> None:
        """Note how far the verification is, when it goes on, and whether it has ``passed`` through all."""
        now = func.clock_timestamp()
        values = {"verify_objects": reached.objects, "verify_after": reached.after} | (
            {"verified_at": now} if passed else {}
        )
        statement = update(table).where(table.c.name == name)
        with self._connect() as connection:
            connection.execute(statement.values(verify_due=now + timedelta(seconds=due_s), **values))

    def forget(self, name: str) -> None:
        """Remove the record of a collection that was dropped."""
        gone = delete(table).where(table.c.name == name, table.c.state == CollectionState.DROPPING)
        with self._connect() as connection:
            connection.execute(gone)


def collections_of(connection: Connection, base: str) -> list[SearchCollection]:
    """All collections of an index, oldest first."""
    return [_collection(row) for row in connection.execute(_KNOWN, {"base": base})]


def _advance(
    connection: Connection,
    name: str,
    before: CollectionState,
    after: CollectionState,
    entry: AuditEntry | None,
    **values: Any,
) -> bool:
    statement = update(table).where(table.c.name == name, table.c.state == before).values(state=after, **values)
    advanced = connection.execute(statement).rowcount == 1
    if advanced and entry is not None:
        audit.record(connection, entry)
    return advanced


def _collection(row: Row[Any]) -> SearchCollection:
    return SearchCollection(
        name=row.name,
        base=row.base,
        model=row.model,
        state=CollectionState(row.state),
        created_at=row.created_at,
        filled_to=row.filled_to,
        swept_until=row.swept_until,
        verified_at=row.verified_at,
    )
