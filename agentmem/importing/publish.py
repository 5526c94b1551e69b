"""The second pass: publish, and follow if asked to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Final

from agentmem.importing.follower import Follower
from agentmem.importing.outcomes import Outcomes
from agentmem.importing.progress import Bar, Bars
from agentmem.importing.requests import Record
from streams.producer import Producer, acknowledged
from streams.settings import KafkaSettings
from streams.topics import Topics

#: Records that may wait for their acknowledgement at a time.
MAX_IN_FLIGHT: Final = 2_000
#: Acknowledgements that are taken in at a time.
_STRIDE: Final = 250


class Publisher:
    """Publishes records, a bounded number at a time, and counts what Kafka acknowledged."""

    def __init__(self, producer: Producer, topic: str, outcomes: Outcomes, bar: Bar) -> None:
        self._producer = producer
        self._topic = topic
        self._outcomes = outcomes
        self._bar = bar
        self._bytes = 0
        self._in_flight: deque[tuple[asyncio.Future[object], int]] = deque()

    async def send(self, record: Record) -> None:
        """Hand over one record; raises ``StoreUnavailableError`` if an earlier one was not taken."""
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            await self._settle(MAX_IN_FLIGHT - _STRIDE)
        future = await self._producer.send(self._topic, key=record.key, value=record.value)
        self._in_flight.append((future, len(record.value)))

    async def finish(self) -> None:
        """Wait until all is acknowledged."""
        await self._settle(0)

    async def _settle(self, remaining: int) -> None:
        while len(self._in_flight) > remaining:
            due = [self._in_flight.popleft() for _ in range(min(_STRIDE, len(self._in_flight)))]
            await acknowledged([future for future, _ in due])
            self._outcomes.published += len(due)
            self._bytes += sum(size for _, size in due)
            self._bar.show(self._outcomes.published, self._bytes)


async def publish(
    records: Iterable[Record],
    total: int,
    settings: KafkaSettings,
    outcomes: Outcomes,
    bars: Bars,
    stall_s: float | None,
) -> None:
    """Publish all records, counting in ``outcomes``.

    With ``stall_s`` it returns when every request is applied and can be searched, and gives up when nothing
    moves for so many seconds. Raises ``StoreUnavailableError``, ``MisconfiguredError``, ``CommandError``.
    """
    async with AsyncExitStack() as stack:
        follower = None
        if stall_s is not None:
            # Positioned before the first record is published, or its events could pass unseen.
            follower = await stack.enter_async_context(
                Follower(settings, outcomes, stall_s, bars.add("applied", total))
            )
        producer = await stack.enter_async_context(Producer(settings))
        bar = bars.add("published", total)
        publisher = Publisher(producer, Topics.of(settings).requests, outcomes, bar)
        for record in records:
            if follower is not None:
                await follower.expect(record)
            await publisher.send(record)
        await publisher.finish()
        if follower is not None:
            await follower.wait()
