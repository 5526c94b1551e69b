"""Publishing again what a gateway accepted but could not publish, or died before it did.

A request is only published again when that is known to be the case: everything that was in the request topic
at some moment has been committed, and its row was there well before that moment and is still open. So one whose
record was set aside because no request could be read from it would come again for ever: it ends as failed instead.
"""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Final

import orjson
import structlog

from agents.maintenance.catching_up import caught_up
from agents.settings import WorkerSettings
from agents.stages.announce import AnnounceStage
from agents.stages.decode import decode
from agents.stages.reject import fail
from infra.postgres import Database
from infra.postgres.writes import Accepted
from schemas.events import outcome_event
from schemas.history import RequestOutcome
from schemas.problems import DeadLetterReason, RecordRejectedError, StoreUnavailableError
from schemas.requests import SCHEMA_VERSION
from streams.lag import LagReader
from streams.producer import Producer, acknowledged
from streams.records import Record
from streams.topics import Topics

_log = structlog.get_logger(__name__)

#: Seconds between two looks at how far the group has come.
_POLL_S: Final = 5.0


class Republish:
    """Finds accepted requests whose record never arrived, and publishes them under the same id."""

    def __init__(
        self,
        database: Database,
        lag: LagReader,
        producer: Producer,
        announcing: AnnounceStage,
        topics: Topics,
        settings: WorkerSettings,
        max_record_bytes: int,
    ) -> None:
        self._database = database
        self._lag = lag
        self._producer = producer
        self._announcing = announcing
        self._topic = topics.requests
        self._settings = settings
        self._max_record_bytes = max_record_bytes

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
        while claimed := await asyncio.to_thread(self._database.claim_accepted, cutoff):
            sent = []
            for one in claimed:
                try:
                    value = self._value_of(one)
                except RecordRejectedError as error:
                    await asyncio.to_thread(self._fail, one.outcome, error, asyncio.get_running_loop())
                else:
                    key = one.outcome.scope.key.encode()
                    sent.append(await self._producer.send(self._topic, key=key, value=value))
            await acknowledged(sent)
            published += len(sent)
        return published

    def _value_of(self, accepted: Accepted) -> bytes:
        """The request's record; raises ``RecordRejectedError`` when a worker would set it aside unread."""
        value = orjson.dumps({"schema_version": SCHEMA_VERSION, **accepted.payload})
        request = decode(Record(self._topic, 0, 0, 0.0, None, value), self._max_record_bytes)
        if request.content_hash() != accepted.outcome.hash:
            raise RecordRejectedError(DeadLetterReason.INVALID_SCHEMA, "it reads differently than it was accepted")
        return value

    def _fail(self, accepted: RequestOutcome, error: RecordRejectedError, loop: asyncio.AbstractEventLoop) -> None:
        with self._database.transaction() as transaction:
            failed = fail(transaction, accepted, error)
            if failed is None:
                return
            # Told before it is closed: whoever dies in between leaves it open, to be failed and told again.
            telling = self._announcing.send([(outcome_event(failed), None)])
            asyncio.run_coroutine_threadsafe(telling, loop).result()
        _log.warning("an accepted request cannot be applied", key=failed.key, reason=error.reason.value)
