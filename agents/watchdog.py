"""The watchdog: ends a worker that has work but makes no progress while nothing is in its way.

Faust may stop reading for good after a broken membership, without an error. Only an outside look at the group's
offsets shows it; a fresh process is the cure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents.settings import WorkerSettings
from schemas.problems import GaveUpError
from streams.lag import GroupOffsets, LagReader


class StuckError(GaveUpError):
    """There is work and nothing in the way, but no progress."""


class Watchdog:
    """Compares the group's offsets with the topic's ends.

    ``mine`` are this worker's partitions, ``waiting`` says whether it waits for a store or one does not answer,
    ``steps`` counts its pieces of work: a batch that takes long makes many, a worker that is stuck makes none.
    """

    def __init__(
        self,
        reader: LagReader,
        mine: Callable[[], set[int]],
        waiting: Callable[[], bool],
        steps: Callable[[], int],
        report: Callable[[dict[int, int]], None],
        settings: WorkerSettings,
    ) -> None:
        self._reader = reader
        self._mine = mine
        self._waiting = waiting
        self._steps = steps
        self._report = report
        self._settings = settings
        self._seen: tuple[dict[int, int], int] = {}, 0
        self._progress_at = asyncio.get_running_loop().time()

    async def check(self) -> None:
        """Read the offsets and judge them; raises ``StuckError``, or ``StoreUnavailableError`` without Kafka."""
        self.look(await self._reader.read())

    def look(self, offsets: GroupOffsets) -> None:
        """Judge one reading; raises ``StuckError`` when the last progress is too long ago."""
        now = asyncio.get_running_loop().time()
        # A spare worker without partitions answers for the whole group: it may be the last one left.
        mine = self._mine()
        partitions = mine or set(offsets.end)
        lag = {partition: offsets.lag(partition) for partition in partitions}
        committed = {partition: offsets.committed.get(partition, 0) for partition in partitions}
        self._report({partition: lag[partition] for partition in mine})
        seen = committed, self._steps()
        if seen != self._seen or not any(lag.values()) or self._waiting():
            self._progress_at = now
        self._seen = seen
        limit_s = self._settings.watchdog_s
        if now - self._progress_at > limit_s:
            raise StuckError(
                f"{sum(lag.values())} records wait, no store is down, and nothing was committed for "
                f"{limit_s:.0f} s: the worker ends, so that a fresh one can take over. Start it again, unless a "
                "supervisor does; if it ends so again, keep its log."
            )
