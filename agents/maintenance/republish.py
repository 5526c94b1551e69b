"""Publishing again what a gateway accepted but could not publish, or died before it did.

A request is only published again when that is known to be the case: everything that was in the request topic
at some moment has been committed, and its row was there well before that moment and is still open.
"""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Final

import structlog

from agents.maintenance.catching_up import caught_up
from agents.settings import WorkerSettings
from infra.postgres import Database
from schemas.problems import StoreUnavailableError
from streams.lag import LagReader
from streams.producer import Producer, acknowledged
from streams.topics import Topics

_log = structlog.get_logger(__name__)

#: Requests claimed and published at a time.
_PAGE: Final = 500
#: Seconds between two looks at how far the group has come.
_POLL_S: Final = 5.0


class Republish:
    """Finds accepted requests whose record never arrived, and publishes them under the same id."""

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
                if published := await self.once():
                    _log.warning("published again what never arrived", requests=published)
            except StoreUnavailableError as error:
                _log.debug("republishing put off", problem=str(error))
            await asyncio.sleep(self._settings.republish_after_s / 2)

    async def once(self) -> int:
        """One round; returns how many requests were published again."""
        cutoff = await asyncio.to_thread(self._database.now) - timedelta(seconds=self._settings.republish_after_s)
        await caught_up(self._lag, math.inf, poll_s=_POLL_S)
        published = 0
        while requests := await asyncio.to_thread(self._database.claim_accepted, cutoff, _PAGE):
            await acknowledged(
                [
                    await self._producer.send(self._topic, key=request.scope.key.encode(), value=request.to_json())
                    for request in requests
                ]
            )
            published += len(requests)
        return published
