"""Finding what the index is behind with, and projecting it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from infra.weaviate import VectorIndex
from schemas.problems import BatchRejectedError


async def stale(index: VectorIndex, versions: Mapping[UUID, int | None]) -> list[UUID]:
    """Those of these memories whose object is of another version; one whose version is None has no object."""
    found = await index.versions(list(versions))
    return [id for id, version in versions.items() if found.get(id) != version]


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
