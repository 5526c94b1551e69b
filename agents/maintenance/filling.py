"""The filling of a new collection from Postgres, as a part of ``agents.maintenance.rebuild``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from agents.maintenance.mending import project_but_refused, stale
from agents.maintenance.patience import Patience
from agents.maintenance.rebuilt import Phase, Rebuilt
from agents.maintenance.settling import settled_moment
from agents.projection import Projection
from infra.weaviate import VectorIndex

#: Memories embedded and written at a time.
_PAGE: Final = 500
#: Rounds of catching up: each one has to do what changed during the one before.
_ROUNDS_MAX: Final = 20


class Filling:
    """Fills ``target``. ``done`` takes the counts, ``tell`` hears of all progress."""

    def __init__(
        self,
        projection: Projection,
        target: VectorIndex,
        patience: Patience,
        done: Rebuilt,
        tell: Callable[[Phase, Rebuilt], None],
    ) -> None:
        self._database = projection.database
        self._projecting = projection.projecting
        self._target = target
        self._call, self._patiently = patience.call, patience.until_done
        self._done = done
        self._tell = tell

    async def fill(self, last: UUID | None) -> None:
        """Project all memories behind ``last``, noting after each page how far it came."""
        self._done.rows = await self._call(self._database.count_after, last, deleted=True)
        while True:
            self._tell(Phase.FILLING, self._done)
            ids = await self._call(self._database.ids_after, last, _PAGE, deleted=True)
            await self._project(ids)
            if not ids:
                return
            self._done.filled += len(ids)
            last = ids[-1]
            await self._call(self._database.collections.filled, self._target.collection, last)

    async def catch_up(self, after: datetime) -> datetime:
        """Project what changed since; returns the time up to which all is done."""
        for _ in range(_ROUNDS_MAX):
            until = await self._patiently(lambda: settled_moment(self._database))
            changed = 0
            last: UUID | None = None
            while True:
                self._tell(Phase.CATCHING_UP, self._done)
                page = await self._call(self._database.changed_between, after, until, last, _PAGE)
                ids = await self._patiently(partial(stale, self._target, page))
                await self._project(ids)
                self._done.caught_up += len(ids)
                changed += len(page)
                if len(page) < _PAGE:
                    break
                last = max(page)
            after = until
            if changed <= _PAGE:
                break
        return after

    async def _project(self, ids: Sequence[UUID]) -> None:
        project = partial(self._projecting.project, vectors={}, verify=True, only=self._target)
        self._done.refused += await project_but_refused(ids, lambda part: self._patiently(partial(project, part)))
