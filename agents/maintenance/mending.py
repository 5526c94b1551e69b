"""Finding what the index is behind with, and projecting it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from infra.weaviate import VectorIndex
from schemas.memories import Memory
from schemas.problems import BatchRejectedError


async def stale(index: VectorIndex, rows: Sequence[Memory]) -> list[UUID]:
    """Those of these rows whose object is of another version; a deleted one has none."""
    found = await index.versions([row.id for row in rows])
    return [row.id for row in rows if found.get(row.id) != (None if row.deleted_at else row.version)]


async def project_but_refused(
    ids: Sequence[UUID], project: Callable[[Sequence[UUID]], Awaitable[None]]
) -> list[UUID]:
    """Project these; returns those that are refused, as one whose own vector does not fit the model.

    One that no store takes is left out, and holds up none of the others.
    """
    try:
        await project(ids)
    except BatchRejectedError:
        if len(ids) == 1:
            return list(ids)
        middle = len(ids) // 2
        return [
            *await project_but_refused(ids[:middle], project),
            *await project_but_refused(ids[middle:], project),
        ]
    return []
