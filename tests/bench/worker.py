"""A real worker: the command as a process of its own, and how far its group has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientSession
from aiohttp.test_utils import unused_port
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from prometheus_client.parser import text_string_to_metric_families

from tests.bench.place import Place
from tests.bench.process import Process, process

#: Short against the time that a batch takes, long enough to cost the worker and the broker next to nothing.
_POLL_S: Final = 0.25
_STAGES: Final = ("decode", "embed", "apply", "project", "announce", "commit")


@dataclass(frozen=True, slots=True)
class Sample:
    """How many records were committed at a moment, in seconds of the monotonic clock."""

    at: float
    committed: int


@asynccontextmanager
async def worker(place: Place) -> AsyncIterator[Worker]:
    """A worker that runs until the end of the body."""
    port = unused_port()
    async with process("worker", {**place.environment, "AGENTMEM_WORKER_PORT": str(port)}, port) as running:
        admin = AIOKafkaAdminClient(bootstrap_servers=place.settings.kafka.bootstrap_servers)
        try:
            await admin.start()
            yield Worker(running, admin, place.settings.kafka.group)
        finally:
            await admin.close()


class Worker:
    """A running worker."""

    def __init__(self, running: Process, admin: AIOKafkaAdminClient, group: str) -> None:
        self.process = running
        self._admin = admin
        self._group = group
        self._coordinator: int | None = None

    async def samples(self) -> AsyncIterator[Sample]:
        """The group's progress, sampled without end; raises ``ProcessEndedError`` when the worker ends."""
        while True:
            self.process.check()
            yield Sample(time.monotonic(), await self._committed())
            await asyncio.sleep(_POLL_S)

    async def stage_seconds(self) -> dict[str, float]:
        """How long each stage has worked so far; several stages work at the same time."""
        async with ClientSession() as session, session.get(f"{self.process.url}/metrics") as response:
            text = await response.text()
        sums = {
            sample.labels["stage"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "agentmem_worker_stage_seconds_sum"
        }
        return {stage: sums[stage] for stage in _STAGES}

    async def _committed(self) -> int:
        try:
            # Asked for once: to look it up costs the broker more than the offsets do.
            self._coordinator = self._coordinator or await self._admin.find_coordinator(self._group)
        except GroupCoordinatorNotAvailableError:
            # A broker that never had a group makes its topic of offsets now.
            return 0
        offsets = await self._admin.list_consumer_group_offsets(self._group, self._coordinator)
        return sum(max(0, entry.offset) for entry in offsets.values())
