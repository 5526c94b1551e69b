"""Faust as we use it: it leaves nothing on disk, and it can not keep a process alive that wants to end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from mode.threads import WorkerThread

#: How long the consumer's thread may take to end after its work is over, in seconds.
_THREAD_END_WITHIN_S: Final = 2.0


class App(faust.App):
    """A Faust app without tables, and so without directories for them."""

    # Faust would name its loggers after this module.
    logger = logging.getLogger("faust.app")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.transport.Consumer = _Consumer  # type: ignore[misc]

    def _create_directories(self) -> None:
        """Faust would make them where the process was started."""


class _Consumer(Consumer):
    logger = logging.getLogger("faust.consumer")

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon, Worker=_Thread)


class _ConsumerThread(AIOKafkaConsumerThread):
    logger = logging.getLogger("faust.consumer")

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
