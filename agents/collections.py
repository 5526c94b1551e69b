"""The collection that serves: found, or made when the index is new."""

from __future__ import annotations

import asyncio

from infra.postgres import Database
from infra.postgres.collections import CollectionState, serving
from infra.weaviate import VectorIndex
from schemas.models import ModelIdentity


async def ensure_serving(database: Database, index: VectorIndex, model: ModelIdentity) -> VectorIndex:
    """The collection of ``index`` that serves this model; made and recorded when the index is new.

    Raises ``MisconfiguredError`` when the index holds the vectors of another model.
    """
    base = index.collection
    known = await asyncio.to_thread(database.collections.of, base)
    if not known:
        await index.ensure(model)
        register = database.collections.register
        await asyncio.to_thread(register, base, base, str(model), CollectionState.SERVING)
        known = await asyncio.to_thread(database.collections.of, base)
    found = index.at(serving(known, base, str(model)))
    await found.ensure(model)
    return found
