"""Faust as we use it.

It leaves nothing on disk, it reads what transactions committed alone, it tells what it has fetched, and it can not
keep a process alive that wants to end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from mode.threads import WorkerThread

from streams.lenient_headers import read_leniently

#: How long the consumer's thread may take to end after its work is over, in seconds.
_THREAD_END_WITHIN_S: Final = 2.0


class App(faust.App):
    """A Faust app without tables, and so without directories for them."""

    # Faust would name its loggers after this module.
    logger = logging.getLogger("faust.app")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.transport.Consumer = _Consumer  # type: ignore[misc]
        read_leniently()

    def _create_directories(self) -> None:
        """Faust would make them where the process was started."""


class _Consumer(Consumer):
    logger = logging.getLogger("faust.consumer")

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon, Worker=_Thread)


class ConsumerThread(AIOKafkaConsumerThread):
    """The thread that fetches. What it knows is to be asked on that thread."""

    logger = logging.getLogger("faust.consumer")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: Behind the last record that was handed over, by partition; and behind the last that was committed.
        self.fetched: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}
        #: Whether positions may lie behind records that nobody got: a fetch failed after it had moved them.
        self.lost_track = False
        self._assignments = 0

    async def on_partitions_assigned(self, *arguments: Any) -> None:
        """Forget what was true of earlier assignments: each partition is read from its committed offset again."""
        self._assignments += 1
        self.fetched.clear()
        self.committed.clear()
        self.lost_track = False
        await super().on_partitions_assigned(*arguments)

    def positions(self) -> dict[TopicPartition, int]:
        """Where each of our partitions is read on: behind all that was handed over, and what is no record."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        states = {tp: assignment.state_value(tp) for tp in assignment.tps} if assignment else {}
        return {tp: state.position for tp, state in states.items() if state.has_valid_position}

    async def _fetch_records(
        self, consumer: AIOKafkaConsumer, *arguments: Any, **options: Any
    ) -> Mapping[TopicPartition, Any]:
        begun_in = self._assignments
        try:
            records = await super()._fetch_records(consumer, *arguments, **options)
        except BaseException:
            self.lost_track = True
            raise
        if begun_in != self._assignments:
            # Faust gave it up when the partitions were taken away, but it went on for up to a second: what it
            # found belongs to the new assignment, and nobody takes it. It is to be found again.
            for tp, found in records.items():
                if found:
                    consumer.seek(tp, found[0].offset)
            return {}
        self.fetched |= {tp: found[-1].offset + 1 for tp, found in records.items() if found}
        return records

    def _create_worker_consumer(self, *arguments: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(*arguments)
        # Faust asks for this in its own transactions only.
        consumer._isolation_level = "read_committed"
        return consumer

    async def on_thread_stop(self) -> None:
        # While Kafka is away, aiokafka cancels fetches of its own and lets that through to whoever stops it;
        # Faust would then never learn that the thread has ended.
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()


class _Thread(WorkerThread):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.daemon = True

    def stop(self) -> None:
        """Wait for its end, but not for ever: this blocks the event loop."""
        self.join(_THREAD_END_WITHIN_S)
