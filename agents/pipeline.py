"""The way of a record, from Kafka and back:

    memory-requests - window - decode - embed - apply - project - announce - commit

``Preparing`` decodes and embeds batch n+1 while ``Storing`` applies, projects and announces batch n. Batches
finish in order, and only then are their offsets committed. When partitions are taken away, the batches in
hand are dropped: nothing of them was committed, so whoever reads these partitions next does them again.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

import structlog

from agents.preparing import Prepared, Preparing, spans_of
from agents.storing import Storing
from agents.waiting import RevokedError, Waiting
from infra.telemetry.metrics import EVENT_LATENCY, QUEUE, RECORDS
from streams.app import Stream
from streams.records import Batch
from streams.window import Window

_log = structlog.get_logger(__name__)


class Pipeline:
    """Runs batches of a window through all stages, until it is cancelled or fails for good."""

    def __init__(
        self, window: Window, preparing: Preparing, storing: Storing, stream: Stream, waiting: Waiting
    ) -> None:
        self._window = window
        self._preparing = preparing
        self._storing = storing
        self._stream = stream
        self._waiting = waiting

    async def run(self) -> None:
        """Process batches for ever. Raises the error that no record is to blame for."""
        # At most three batches are in hand: one is stored, two are being prepared or wait. The later one is
        # decoded while the earlier one is embedded, so that the embedder has its next texts at once.
        ahead: asyncio.Queue[asyncio.Task[Prepared]] = asyncio.Queue(maxsize=1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._prepare_all(ahead, tasks))
            tasks.create_task(self._store_all(ahead))

    async def _prepare_all(self, ahead: asyncio.Queue[asyncio.Task[Prepared]], tasks: asyncio.TaskGroup) -> None:
        while True:
            batch = await self._window.batch()
            QUEUE.set(self._window.depth)
            await ahead.put(tasks.create_task(self._preparing.prepare(batch)))

    async def _store_all(self, ahead: asyncio.Queue[asyncio.Task[Prepared]]) -> None:
        while True:
            await self._finish(await (await ahead.get()))

    async def _finish(self, prepared: Prepared) -> None:
        batch = prepared.batch
        check = partial(self._check, batch)
        try:
            check()
            await self._storing.store(prepared, check)
            now = time.time()
            for record in batch.records:
                EVENT_LATENCY.observe(now - record.timestamp)
            await self._waiting.out("commit", partial(self._commit, batch), check)
        except RevokedError:
            RECORDS.labels("dropped").inc(len(batch.records))
            _log.info("batch dropped: its partitions were taken away", records=len(batch.records))
        finally:
            for span in spans_of(prepared.items):
                span.end()

    async def _commit(self, batch: Batch) -> None:
        if not await self._stream.commit(batch.offsets):
            raise RevokedError

    def _check(self, batch: Batch) -> None:
        if batch.generation != self._window.generation:
            raise RevokedError
