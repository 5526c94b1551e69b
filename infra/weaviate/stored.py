"""The index as it is found, for those who compare it with the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from weaviate.collections.classes.internal import Object

from infra.weaviate.errors import translated
from infra.weaviate.index import VectorIndex
from infra.weaviate.points import SCOPE_FIELDS, Vector
from schemas.scope import Scope


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it stands, whoever wrote it: without ``vector`` no search finds it."""

    id: UUID
    version: int | None
    scope: Scope
    vector: Vector | None


async def stored(index: VectorIndex, ids: Sequence[UUID]) -> dict[UUID, Stored]:
    """Those of these ids that are there, with their vectors."""
    found = await index._fetch(ids, [*SCOPE_FIELDS, "version"], with_vector=True)
    return {one.id: one for one in map(_stored, found)}


async def stored_after(index: VectorIndex, last: UUID | None, limit: int) -> list[Stored]:
    """A page of all that the collection holds, in the order of the ids, without vectors."""
    async with translated(index._settings.query_timeout_s, "a read"):
        page = await index._collection.query.fetch_objects(
            limit=limit, after=last, return_properties=["project", "version"]
        )
    return [_stored(item) for item in page.objects]


def _stored(item: Object[Any, Any]) -> Stored:
    properties = item.properties
    ids = {field: unquote(value) for field in SCOPE_FIELDS if (value := properties.get(field)) is not None}
    version = properties.get("version")
    return Stored(
        UUID(int=item.uuid.int),
        None if version is None else int(version),
        Scope(**{"project": "", **ids}),
        item.vector.get("default") or None,  # type: ignore[arg-type]
    )
