"""The verification that never ends: workers compare a few memories at a time, pass after pass.

What the sweep cannot see (it looks at what changed lately) is found here: what Weaviate lost or kept by itself.
How far the pass is stands in Postgres, so that all workers share one pass and its rate, and a restart goes on.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from agents.maintenance.drift import Drift, Suspect
from agents.maintenance.verify import Verification
from agents.settings import WorkerSettings
from agents.stages.project import ProjectStage
from infra.postgres import Database
from infra.postgres.collections import Pass
from infra.telemetry.metrics import VERIFY_CHECKED, VERIFY_DRIFT, VERIFY_LAST_PASS, VERIFY_REPAIRED
from infra.weaviate import VectorIndex
from schemas.problems import BatchRejectedError, StoreUnavailableError

_log = structlog.get_logger(__name__)

#: Memories compared at a time, at most; and after how many seconds another worker takes over.
_PAGE: Final = 200
_LEASE_S: Final = 300.0
#: After how many seconds a page is due again whose comparison a store ended.
_AGAIN_S: Final = 5.0
#: Between two looks whether the next page is due, in seconds: the longest and the shortest.
_POLL_S, _POLL_LEAST_S = 1.0, 0.1


class Verifying:
    """Takes part in the pass over the collection that serves."""

    def __init__(self, database: Database, projecting: ProjectStage, settings: WorkerSettings) -> None:
        self._database = database
        self._projecting = projecting
        self._settings = settings
        for drift in Drift:
            VERIFY_DRIFT.labels(drift)  # at 0: the first one found, too, is an increase

    async def run(self) -> None:
        """Compare a page whenever one is due, for ever. A store that is down is left alone until the next time."""
        pause_s = _POLL_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                if (rows_per_s := self._settings.verify_rows_per_s) > 0:
                    pause_s = min(_POLL_S, max(_POLL_LEAST_S, _PAGE / rows_per_s))
                    await self.step(rows_per_s)
            except (StoreUnavailableError, BatchRejectedError) as error:
                _log.debug("verification put off", problem=str(error))

    async def step(self, rows_per_s: float) -> bool:
        """Compare and mend the next page if it is due; whether it was. The one after it is due at this rate."""
        collections = self._database.collections
        index = await self._projecting.serving()
        begun = await asyncio.to_thread(collections.claim_verification, index.collection, _LEASE_S)
        if begun is None:
            return False
        if begun.verified_at is not None:
            VERIFY_LAST_PASS.set(begun.verified_at.timestamp())
        verification = Verification(self._database, self._projecting, self._settings.sweep_grace_s)
        look = verification.objects_after if begun.objects else verification.rows_after
        try:
            ids, suspects = await look(index, begun.after, _PAGE)
            if suspects:
                await self._mend(verification, index, suspects)
        except (StoreUnavailableError, BatchRejectedError):
            # The lease is for a worker that died or was stopped, which does not wait for Postgres once more: who
            # lives gives the page back.
            await asyncio.to_thread(collections.verified, index.collection, begun, _AGAIN_S, passed=False)
            raise
        if not begun.objects:
            VERIFY_CHECKED.inc(len(ids))
        ended = len(ids) < _PAGE
        # First all rows, then all objects, then from the beginning.
        reached = Pass(begun.objects != ended, None if ended else ids[-1])
        due_s = len(ids) / rows_per_s
        await asyncio.to_thread(
            collections.verified, index.collection, reached, due_s, passed=begun.objects and ended
        )
        return True

    async def _mend(self, verification: Verification, index: VectorIndex, suspects: list[Suspect]) -> None:
        await asyncio.sleep(self._settings.sweep_grace_s)
        drifted = await verification.judge(index, suspects)
        if not drifted:
            return
        for one in drifted:
            VERIFY_DRIFT.labels(one.drift).inc()
        repaired = await verification.repair(index, drifted)
        VERIFY_REPAIRED.inc(repaired)
        _log.warning(
            "the index differed from Postgres",
            memories=len(drifted),
            repaired=repaired,
            first=f"{drifted[0].id} {drifted[0].drift}",
        )
