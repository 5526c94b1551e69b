"""Deleting what expired long ago, through the stream as anybody would.

Expired memories are hidden at once; after ``worker.delete_expired_after_h`` they go. Each delete asks for the
version that was seen: a memory whose expiry is put off meanwhile stays. The id of a delete follows from memory and
version, so that several workers, and one that died after it published, delete it once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from agents.maintenance.catching_up import caught_up
from agents.settings import WorkerSettings
from infra.postgres import Database
from infra.postgres.expiring import expiry_request_id
from infra.telemetry.metrics import EXPIRED_DELETES
from schemas.memories import Standing
from schemas.problems import StoreUnavailableError
from schemas.requests import MemoryRequest
from streams.lag import LagReader
from streams.producer import Producer, acknowledged
from streams.topics import Topics

_log = structlog.get_logger(__name__)

#: Deletes published at a time. The next follow when all that is in the log was applied: others come in between.
_PAGE: Final = 500
_POLL_S: Final = 5.0


class Expiry:
    """Publishes deletes for memories that expired long ago."""

    def __init__(
        self, database: Database, lag: LagReader, producer: Producer, topics: Topics, settings: WorkerSettings
    ) -> None:
        self._database = database
        self._lag = lag
        self._producer = producer
        self._topic = topics.requests
        self._settings = settings

    async def run(self) -> None:
        """Look again and again. A store that is down is left alone until the next time."""
        while True:
            try:
                while await self.once() == _PAGE:
                    pass
            except StoreUnavailableError as error:
                _log.debug("deleting what expired put off", problem=str(error))
            await asyncio.sleep(self._settings.sweep_interval_s)

    async def once(self) -> int:
        """One round; returns how many deletes were published."""
        keep = timedelta(hours=self._settings.delete_expired_after_h)
        if not await asyncio.to_thread(self._database.expiring.due, keep, 1):
            return 0
        # What an earlier round published, here or in another worker, is done then and not due any more.
        await caught_up(self._lag, math.inf, poll_s=_POLL_S)
        return await self.publish(await asyncio.to_thread(self._database.expiring.due, keep, _PAGE))

    async def publish(self, due: Sequence[Standing]) -> int:
        """Ask for these to be deleted as they are here; returns how many they are."""
        requests = map(_delete, due)
        await acknowledged(
            [
                await self._producer.send(self._topic, key=request.scope.key.encode(), value=request.to_json())
                for request in requests
            ]
        )
        EXPIRED_DELETES.inc(len(due))
        return len(due)


def _delete(memory: Standing) -> MemoryRequest:
    return MemoryRequest.model_validate(
        {
            "request_id": expiry_request_id(memory.id, memory.version),
            "op": "delete",
            "project": memory.scope.project,
            **memory.scope.ids,
            "memory_id": memory.id,
            "expected_version": memory.version,
        }
    )
