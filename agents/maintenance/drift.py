"""What is wrong with the index: each memory's row compared with its object."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from infra.postgres import Database
from infra.weaviate import Point, VectorIndex
from infra.weaviate.stored import stored


class Drift(StrEnum):
    """How an object differs from what its row asks for."""

    #: The memory lives, and has no object.
    MISSING = "missing"
    #: The object's memory is deleted, or never was.
    EXTRA = "extra"
    #: The object is of another version, or of another scope.
    STALE = "stale"
    #: The object has no vector, or one of another length.
    NO_VECTOR = "no_vector"
    #: The object has its vector, and a search by it finds nothing.
    UNSEARCHABLE = "unsearchable"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A memory whose object differs; ``version`` is that of its row, if there is one."""

    id: UUID
    drift: Drift
    version: int | None


async def suspects(database: Database, index: VectorIndex, dimension: int, ids: Sequence[UUID]) -> list[Suspect]:
    """Those of these memories whose row and object differ now. A write in flight makes them differ, too."""
    rows = await asyncio.to_thread(database.standing, ids)
    objects = await stored(index, ids)
    found: list[Suspect] = []
    to_search: list[Point] = []
    for id in ids:
        row, object = rows.get(id), objects.get(id)
        if row is None or row.deleted_at is not None:
            if object is not None:
                found.append(Suspect(id, Drift.EXTRA, None if row is None else row.version))
        elif object is None:
            found.append(Suspect(id, Drift.MISSING, row.version))
        elif (object.version, object.scope) != (row.version, row.scope):
            found.append(Suspect(id, Drift.STALE, row.version))
        elif object.vector is None or len(object.vector) != dimension:
            found.append(Suspect(id, Drift.NO_VECTOR, row.version))
        else:
            vector = object.vector if row.vector is None else row.vector
            to_search.append(Point(id, row.version, row.scope, vector))
    for point in await index.unsearchable(to_search):
        found.append(Suspect(point.id, Drift.UNSEARCHABLE, point.version))
    return found
