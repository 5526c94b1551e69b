"""The collection that serves, followed while it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.threads import Call
from infra.postgres import Database
from infra.postgres.collections import serving
from infra.weaviate import Hit, VectorIndex
from infra.weaviate.points import Vector
from schemas.models import ModelIdentity
from schemas.problems import StoreUnavailableError
from schemas.scope import Scope

log = logging.getLogger(__name__)

#: Between two looks at which collection serves. One that no longer does is kept for longer than that.
_FOLLOW_S: Final = 2.0


class ServingIndex:
    """Searches the collection that serves the gateway's model, whichever that is at the moment.

    A search of one that is gone is made again in the one that took its place: a gateway may have slept through
    the time in which there were both.
    """

    def __init__(self, index: VectorIndex, database: Database, call: Call, model: ModelIdentity) -> None:
        self._connection = index
        self._current = index
        self._database = database
        self._call = call
        self._model = model

    async def open(self) -> None:
        """Connect, and make the collection if the index is new; raises as ``VectorIndex`` does."""
        await self._connection.open()
        self._current = self._connection.at(await self._name())
        await self._current.ensure(self._model)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def follow(self) -> None:
        """Look again and again which collection serves. Raises ``MisconfiguredError`` when none does any more."""
        while True:
            await asyncio.sleep(_FOLLOW_S)
            try:
                await self._refresh()
            except StoreUnavailableError as error:
                log.debug("not known which collection serves: %s", error)

    async def is_ready(self) -> bool:
        """Whether a search would be answered now."""
        return await self._current.is_ready() or (await self._refresh() and await self._current.is_ready())

    async def search(
        self, scope: Scope, vector: Vector, limit: int, ids: Sequence[UUID] | None = None
    ) -> list[Hit]:
        """As :meth:`VectorIndex.search`."""
        try:
            return await self._current.search(scope, vector, limit, ids)
        except StoreUnavailableError:
            if not await self._refresh():
                raise
            return await self._current.search(scope, vector, limit, ids)

    async def _refresh(self) -> bool:
        """Whether another collection serves than before."""
        name = await self._name()
        if name == self._current.collection:
            return False
        log.info("searches go to the collection %s from now on", name)
        self._current = self._connection.at(name)
        return True

    async def _name(self) -> str:
        base = self._connection.collection
        return serving(await self._call(self._database.collections.of, base), base, str(self._model))
