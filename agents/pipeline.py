"""The way of a record, from Kafka and back:

    memory-requests - window - decode - embed - apply - project - announce - commit

``Preparing`` decodes and embeds batch n+1 while ``Storing`` applies, projects and announces batch n, and while
the offsets of batch n-1 are committed. Each of these takes the batches in order, so nothing is committed before
all that precedes it is done. When partitions are taken away, the batches in hand are dropped: nothing of them
was committed, so whoever reads these partitions next does them again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from agents import failpoints
from agents.preparing import Prepared, Preparing
from agents.storing import Check, Storing
from agents.waiting import RevokedError, Waiting
from infra.telemetry.metrics import EVENT_LATENCY, QUEUE, RECORDS
from schemas.problems import StoreUnavailableError
from streams.app import Stream
from streams.records import Batch
from streams.window import Window

_log = structlog.get_logger(__name__)

#: Batches that are prepared or stored at a time: one is stored while the next is embedded; or one is embedded and
#: the next decoded already. With more, records would wait in small batches instead of sharing a larger one.
_IN_HAND: Final = 2
#: How long the ends of transactions, which are no records, stay uncommitted, in seconds.
_SKIPPED_EVERY_S: Final = 1.0


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
        self._free = asyncio.Semaphore(_IN_HAND)
        self._in_hand = 0

    async def run(self) -> None:
        """Process batches for ever. Raises the error that no record is to blame for."""
        prepared: asyncio.Queue[asyncio.Task[Prepared]] = asyncio.Queue()
        stored: asyncio.Queue[Batch] = asyncio.Queue(maxsize=1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._prepare_all(prepared, tasks))
            tasks.create_task(self._store_all(prepared, stored))
            tasks.create_task(self._commit_all(stored))
            tasks.create_task(self._commit_skipped())

    async def _prepare_all(
        self, prepared: asyncio.Queue[asyncio.Task[Prepared]], tasks: asyncio.TaskGroup
    ) -> None:
        while True:
            await self._free.acquire()
            # Batches grow while others are in hand; when none is, waiting would only cost time.
            batch = await self._window.batch(at_once=lambda: self._in_hand == 0)
            self._in_hand += 1
            QUEUE.set(self._window.depth)
            prepared.put_nowait(tasks.create_task(self._preparing.prepare(batch)))

    async def _store_all(
        self, prepared: asyncio.Queue[asyncio.Task[Prepared]], stored: asyncio.Queue[Batch]
    ) -> None:
        while True:
            one = await (await prepared.get())
            try:
                if await self._unless_revoked(one.batch, partial(self._store, one)):
                    await stored.put(one.batch)
            finally:
                one.end_spans()
            self._in_hand -= 1
            self._free.release()
            self._window.look_again()

    async def _commit_all(self, stored: asyncio.Queue[Batch]) -> None:
        while True:
            batch = await stored.get()
            await self._unless_revoked(batch, partial(self._commit, batch))

    async def _commit_skipped(self) -> None:
        while True:
            await asyncio.sleep(_SKIPPED_EVERY_S)
            try:
                await self._stream.commit_skipped()
            except StoreUnavailableError as error:
                _log.debug("no commit of what is no record", problem=str(error))

    async def _store(self, prepared: Prepared, check: Check) -> None:
        await self._storing.store(prepared, check)
        now = time.time()
        for record in prepared.batch.records:
            EVENT_LATENCY.observe(now - record.timestamp)

    async def _commit(self, batch: Batch, check: Check) -> None:
        failpoints.passing("before-commit")

        async def commit() -> None:
            if not await self._stream.commit(batch.offsets):
                raise RevokedError

        await self._waiting.out("commit", commit, check)

    async def _unless_revoked(self, batch: Batch, work: Callable[[Check], Awaitable[None]]) -> bool:
        """Do this work, or drop the batch once its partitions are gone; whether it was done."""

        def check() -> None:
            if batch.generation != self._window.generation:
                raise RevokedError

        try:
            check()
            await work(check)
        except RevokedError:
            RECORDS.labels("dropped").inc(len(batch.records))
            _log.info("batch dropped: its partitions were taken away", records=len(batch.records))
            return False
        return True
