"""Reading all memories of a scope as they stand at one moment, however many they are.

Blocks, and raises what ``Database``'s methods do.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, FromClause, select, text

from infra.postgres.engine import Connect, lift_limits
from infra.postgres.reads import past, served
from infra.postgres.rows import entry_of, memory_of
from infra.postgres.tables import memories, memory_history
from schemas.history import HistoryEntry
from schemas.memories import Memory
from schemas.scope import Scope

#: Memories read at a time.
_PAGE: Final = 500
# One snapshot for all pages.
_ONE_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


class Exporting:
    """On the database's connections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    def memories(
        self, scope: Scope, as_of: datetime | None, *, history: bool
    ) -> Generator[tuple[Memory, list[HistoryEntry]], None, None]:
        """The memories of the scope that are not deleted, by id, expired ones too; or those of a past moment.

        With ``history`` each comes with its versions up to then, oldest first.
        """
        rows: FromClause = memories if as_of is None else past(scope, as_of)
        statement = select(rows).where(*served(scope.project, True, rows=rows, scope=scope)).order_by(rows.c.id)
        with self._connect(scope.project) as connection:
            connection.execute(_ONE_SNAPSHOT)
            # To sort a large project may take longer than a gateway's query, and so may whoever takes the pages.
            lift_limits(connection)
            streaming = {"stream_results": True, "max_row_buffer": _PAGE}
            for page in connection.execute(statement, execution_options=streaming).partitions(_PAGE):
                found = [memory_of(row) for row in page]
                versions = _history(connection, [memory.id for memory in found], as_of) if history else {}
                for memory in found:
                    yield memory, versions.get(memory.id, [])


def _history(connection: Connection, ids: list[UUID], as_of: datetime | None) -> dict[UUID, list[HistoryEntry]]:
    table = memory_history.c
    conditions: list[ColumnElement[bool]] = [table.memory_id.in_(ids)]
    if as_of is not None:
        conditions.append(table.recorded_at <= as_of)
    statement = select(memory_history).where(*conditions).order_by(table.memory_id, table.version)
    found: dict[UUID, list[HistoryEntry]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.memory_id, []).append(entry_of(row))
    return found
