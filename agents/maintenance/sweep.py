"""The sweep: finds memories whose version in Weaviate is not that of their row, and projects them again.

A worker that was paused may wake up and write an old version after a newer one. It notices that itself (see
``ProjectStage``), unless it dies in that very moment: then the sweep mends it, within two intervals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from agents.maintenance.mending import project_but_refused, stale
from agents.settings import WorkerSettings
from agents.stages.project import ProjectStage
from infra.postgres import Database
from infra.telemetry.metrics import SWEEP_MENDED
from infra.weaviate import VectorIndex
from schemas.problems import BatchRejectedError, StoreUnavailableError

_log = structlog.get_logger(__name__)

#: Memories compared at a time.
_PAGE: Final = 500


class Sweep:
    """Compares recently changed memories with the index, one worker at a time."""

    def __init__(self, database: Database, projecting: ProjectStage, settings: WorkerSettings) -> None:
        self._database = database
        self._projecting = projecting
        self._settings = settings
        #: When the last sweep began, by the database's clock and by its transactions.
        self._begun: tuple[datetime, str] | None = None

    async def run(self) -> None:
        """Sweep at every interval, for ever. A store that is down is left alone until the next time."""
        while True:
            await asyncio.sleep(self._settings.sweep_interval_s)
            try:
                mended = await self.sweep()
            except (StoreUnavailableError, BatchRejectedError) as error:
                _log.warning("sweep put off", problem=str(error))
            else:
                if mended:
                    _log.warning("sweep mended the index", memories=mended)

    async def sweep(self) -> int:
        """Compare what changed since the last sweep of the serving collection; returns how many were mended.

        At least the last two intervals, so that what a sweeper left undone when it died is done by the next one.
        Further back after a time without workers of this model: others changed rows that they could not embed.
        """
        index = await self._projecting.serving()
        # Nothing older than the last sweep can appear any more, unless a worker is paused in a transaction from
        # before it: that holds up nothing, but what is compared now will be compared again.
        last_sweep = self._begun
        settled = last_sweep is not None and await asyncio.to_thread(self._database.settled, last_sweep[1])
        self._begun = await asyncio.to_thread(self._database.moment)
        until = self._begun[0] - timedelta(seconds=self._settings.sweep_grace_s)
        after = until - timedelta(seconds=2 * self._settings.sweep_interval_s)
        for known in await asyncio.to_thread(self._database.collections.of, self._projecting.base):
            if known.name == index.collection and known.swept_until is not None:
                after = min(after, known.swept_until)
        mended = 0
        last: UUID | None = None
        while True:
            page = await asyncio.to_thread(self._database.changed_between, after, until, last, _PAGE)
            mended += await self._mend(index, page)
            if len(page) < _PAGE:
                break
            last = max(page)
        if settled and last_sweep is not None:
            reached = min(until, last_sweep[0])
            await asyncio.to_thread(self._database.collections.swept, index.collection, reached)
        return mended

    async def _mend(self, index: VectorIndex, page: Mapping[UUID, int | None]) -> int:
        ids = await stale(index, page)
        refused = await project_but_refused(ids, partial(self._projecting.project, vectors={}, verify=True))
        if refused:
            _log.warning("the index refuses memories", memories=len(refused), first=str(refused[0]))
        mended = len(ids) - len(refused)
        SWEEP_MENDED.inc(mended)
        return mended
