"""A real worker: the command as a process of its own, and how far its group has come."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from tests.bench.place import Place

#: Short against the time that a batch takes, long enough to cost the worker and the broker next to nothing.
_POLL_S: Final = 0.25
_LOG_END_BYTES: Final = 4_000


class WorkerEndedError(Exception):
    """The worker ended by itself; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How many records were committed at a moment, in seconds of the monotonic clock."""

    at: float
    committed: int


@asynccontextmanager
async def worker(place: Place) -> AsyncIterator[Worker]:
    """A worker that runs until the end of the body."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agentmem", "worker"), env=place.environment, stdout=log, stderr=log
        )
        admin = AIOKafkaAdminClient(bootstrap_servers=place.settings.kafka.bootstrap_servers)
        try:
            await admin.start()
            yield Worker(process, log, admin, place.settings.kafka.group)
        finally:
            await admin.close()
            if process.returncode is None:
                process.terminate()
                await process.wait()


class Worker:
    """A running worker process."""

    def __init__(
        self, process: asyncio.subprocess.Process, log: IO[bytes], admin: AIOKafkaAdminClient, group: str
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log
        self._admin = admin
        self._group = group
        self._coordinator: int | None = None

    async def samples(self) -> AsyncIterator[Sample]:
        """The group's progress, sampled without end; raises ``WorkerEndedError`` when the worker ends."""
        while self._process.returncode is None:
            yield Sample(time.monotonic(), await self._committed())
            await asyncio.sleep(_POLL_S)
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG_END_BYTES))
        end = self._log.read().decode(errors="replace")
        raise WorkerEndedError(f"The worker ended with exit code {self._process.returncode}:\n{end}")

    async def _committed(self) -> int:
        try:
            # Asked for once: to look it up costs the broker more than the offsets do.
            self._coordinator = self._coordinator or await self._admin.find_coordinator(self._group)
        except GroupCoordinatorNotAvailableError:
            # A broker that never had a group makes its topic of offsets now.
            return 0
        offsets = await self._admin.list_consumer_group_offsets(self._group, self._coordinator)
        return sum(max(0, entry.offset) for entry in offsets.values())
