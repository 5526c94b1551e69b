"""The window: turns a stream of records into batches, bounded by count, bytes and time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from streams.records import Batch, Record
from streams.settings import MIB, WindowSettings

#: Beyond either of these the stream is asked to stop fetching; below half of both, to go on. What is left must
#: last for the second that Faust may take to go on, and must fit into memory whatever the records' size.
_HIGH_RECORDS: Final = 8_192
_HIGH_BYTES: Final = 32 * MIB


class Window:
    """Collects records; a batch closes at the first of count, bytes and time since its first record.

    Not thread-safe: use it from one event loop. ``pause`` and ``resume`` tell the stream to stop and go on.
    """

    def __init__(self, settings: WindowSettings, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._settings = settings
        self._pause = pause
        self._resume = resume
        self._records: deque[tuple[float, int, Record]] = deque()
        self._bytes = 0
        self._paused = False
        self._arrival = asyncio.Event()
        self._generation = 0

    @property
    def generation(self) -> int:
        """Counts the calls of ``clear``."""
        return self._generation

    @property
    def depth(self) -> int:
        """Records that wait for a batch."""
        return len(self._records)

    def put(self, record: Record) -> None:
        """Add a record. Never blocks: the stream is paused instead when too much is waiting."""
        weight = record.weight
        self._records.append((asyncio.get_running_loop().time(), weight, record))
        self._bytes += weight
        self._arrival.set()
        if not self._paused and (len(self._records) > _HIGH_RECORDS or self._bytes > _HIGH_BYTES):
            self._paused = True
            self._pause()

    def look_again(self) -> None:
        """Ask ``at_once`` again."""
        self._arrival.set()

    def clear(self) -> None:
        """Forget what is waiting and begin a new generation: the partitions were taken away."""
        self._records.clear()
        self._bytes = 0
        self._paused = False
        self._generation += 1

    async def batch(self, at_once: Callable[[], bool] = lambda: False) -> Batch:
        """The next batch; waits for its first record without limit.

        ``at_once`` says whether there is nothing to be won by waiting for more: asked again at every record and
        ``look_again``.
        """
        loop = asyncio.get_running_loop()
        while not self._is_full():
            wait: float | None = None
            if self._records:
                if at_once():
                    break
                first_arrival = self._records[0][0]
                wait = first_arrival + self._settings.max_wait_ms / 1000 - loop.time()
                if wait <= 0:
                    break
            self._arrival.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._arrival.wait()
            except TimeoutError:
                continue
        return self._take()

    def _is_full(self) -> bool:
        return len(self._records) >= self._settings.max_records or self._bytes >= self._settings.max_bytes

    def _take(self) -> Batch:
        taken: list[Record] = []
        size = 0
        while self._records and len(taken) < self._settings.max_records:
            _, weight, record = self._records[0]
            # A record larger than the limit still travels, alone.
            if taken and size + weight > self._settings.max_bytes:
                break
            self._records.popleft()
            taken.append(record)
            size += weight
        self._bytes -= size
        if self._paused and len(self._records) <= _HIGH_RECORDS // 2 and self._bytes <= _HIGH_BYTES // 2:
            self._paused = False
            self._resume()
        return Batch(taken, self._generation)
