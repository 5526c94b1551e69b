"""Projecting what may hold a row that no store takes: it is left out, and holds up none of the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from schemas.problems import BatchRejectedError


async def project_but_refused(
    ids: Sequence[UUID], project: Callable[[Sequence[UUID]], Awaitable[None]]
) -> list[UUID]:
    """Project these; returns those that are refused, as one whose own vector does not fit the model."""
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
