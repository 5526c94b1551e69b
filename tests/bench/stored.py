"""What really is in the stores: a number counts only for what arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from infra.postgres import Database
from infra.weaviate import VectorIndex
from tests.bench.place import Place


async def stored(place: Place, ids: Sequence[UUID]) -> dict[str, int]:
    """How many of these memories each store has."""
    database = Database(place.settings.postgres)
    index = VectorIndex(place.settings.weaviate)
    try:
        await index.open()
        rows = await asyncio.to_thread(database.current, ids)
        return {"in_postgres": len(rows), "in_weaviate": len(await index.versions(ids))}
    finally:
        await index.close()
        database.close()


async def check_stored(place: Place, ids: Sequence[UUID]) -> None:
    """Raise ``RuntimeError`` unless both stores have all of these memories."""
    counts = await stored(place, ids)
    if set(counts.values()) != {len(ids)}:
        raise RuntimeError(f"of {len(ids)} memories the stores have {counts}: this measurement does not count")
