"""The verification: every memory's row compared with its object in the index, while writes go on.

Law 2 says that Weaviate is a projection of Postgres; this is how one sees that it is. A write in flight looks like
drift: so what looks wrong is looked at again after a moment, and is drift only when it is still wrong although its
row has not changed. What is wrong is mended by projecting the row again.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID

from agents.maintenance.drift import Drift, Suspect, suspects
from agents.maintenance.mending import project_but_refused
from agents.stages.project import ProjectStage
from infra.postgres import Database
from infra.weaviate import VectorIndex
from infra.weaviate.stored import stored_after

#: Memories compared at a time.
PAGE: Final = 500
#: Suspects that wait to be looked at again, at most.
_SUSPECTS_MAX: Final = 50_000
#: Drift that is named one by one in a report.
_NAMED: Final = 20


@dataclass
class Report:
    """What was found so far. ``named`` are the first few, for whoever looks into it."""

    checked: int = 0
    drift: Counter[Drift] = field(default_factory=Counter)
    repaired: int = 0
    named: list[Suspect] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """What is wrong still."""
        return self.drift.total() - self.repaired


class Verification:
    """Compares rows and objects. ``settle_s``: how long a write may be in flight, by all that is known."""

    def __init__(self, database: Database, projecting: ProjectStage, settle_s: float) -> None:
        self._database = database
        self._projecting = projecting
        self._settle_s = settle_s

    async def run(
        self, index: VectorIndex, project: str | None, *, repair: bool, tell: Callable[[Report], None]
    ) -> Report:
        """Compare all of a project, or of all, in bounded pages; ``tell`` is called after each."""
        report = Report()
        waiting: deque[tuple[float, Suspect]] = deque()
        loop = asyncio.get_running_loop()
        async with aclosing(self._looked_through(index, project)) as pages:
            async for checked, page in pages:
                report.checked += checked
                waiting.extend((loop.time(), suspect) for suspect in page)
                while len(waiting) > _SUSPECTS_MAX or (waiting and waiting[0][0] + self._settle_s <= loop.time()):
                    await self._judge(index, waiting, repair, report)
                tell(report)
        while waiting:
            await self._judge(index, waiting, repair, report)
            tell(report)
        return report

    async def rows_after(
        self, index: VectorIndex, last: UUID | None, limit: int, project: str | None = None
    ) -> tuple[list[UUID], list[Suspect]]:
        """A page of the ids of live memories, and those that look wrong."""
        ids = await asyncio.to_thread(self._database.ids_after, last, limit, project)
        return ids, await self._suspects(index, ids)

    async def objects_after(
        self, index: VectorIndex, last: UUID | None, limit: int, project: str | None = None
    ) -> tuple[list[UUID], list[Suspect]]:
        """A page of the ids of objects, and those of no live memory, or of another project's."""
        page = await stored_after(index, last, limit)
        rows = await asyncio.to_thread(self._database.standing, [one.id for one in page])
        stray = []
        for one in page:
            row = rows.get(one.id)
            lives = row is not None and row.deleted_at is None and row.scope.project == one.scope.project
            if not lives and project in (None, one.scope.project):
                stray.append(one.id)
        return [one.id for one in page], await self._suspects(index, stray)

    async def judge(self, index: VectorIndex, page: Sequence[Suspect]) -> list[Suspect]:
        """Those that are wrong still although their rows have not changed. The others are a writer's business."""
        before = {one.id: one.version for one in page}
        again = await self._suspects(index, list(before))
        return [one for one in again if before[one.id] == one.version]

    async def repair(self, index: VectorIndex, drifted: Sequence[Suspect]) -> int:
        """Project these again from their rows; returns for how many that helped."""
        ids = [one.id for one in drifted]
        await project_but_refused(ids, partial(self._projecting.project, vectors={}, verify=True))
        return len(ids) - len(await self.judge(index, drifted))

    async def _suspects(self, index: VectorIndex, ids: Sequence[UUID]) -> list[Suspect]:
        return await suspects(self._database, index, self._projecting.dimension, ids)

    async def _looked_through(
        self, index: VectorIndex, project: str | None
    ) -> AsyncGenerator[tuple[int, list[Suspect]], None]:
        for look, counts in ((self.rows_after, True), (self.objects_after, False)):
            last: UUID | None = None
            while True:
                ids, page = await look(index, last, PAGE, project)
                yield len(ids) if counts else 0, page
                if len(ids) < PAGE:
                    break
                last = ids[-1]

    async def _judge(
        self, index: VectorIndex, waiting: deque[tuple[float, Suspect]], repair: bool, report: Report
    ) -> None:
        """Look again at the suspects that have waited longest, once the first of them has waited long enough."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(waiting[0][0] + self._settle_s - loop.time())
        part: list[Suspect] = []
        while waiting and len(part) < PAGE and waiting[0][0] + self._settle_s <= loop.time():
            part.append(waiting.popleft()[1])
        drifted = await self.judge(index, part)
        report.drift.update(one.drift for one in drifted)
        report.named += drifted[: _NAMED - len(report.named)]
        if repair and drifted:
            report.repaired += await self.repair(index, drifted)
