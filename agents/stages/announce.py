"""announce: every change becomes an event, acknowledged by Kafka before the offsets are committed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from agents.items import Applied, Rejected
from schemas.events import Event, change_event, outcome_event
from schemas.history import HistoryEntry, RequestOutcome
from schemas.problems import BatchRejectedError
from streams.dead_letters import dead_letter_headers, oversize_headers
from streams.producer import BATCH_BYTES, Producer, acknowledged
from streams.topics import Topics

STAGE: Final = "announce"
#: What is handed to the producer before it waits for the acknowledgement, in bytes: with all that Kafka adds to a
#: small record less than the producer sends at a time. Were it more, its end could arrive though its beginning was
#: lost, and events of a scope be read in the wrong order when all is announced again.
_IN_FLIGHT_BYTES: Final = BATCH_BYTES // 2


def events_of(outcome: RequestOutcome, history: Iterable[HistoryEntry]) -> list[Event]:
    """One event for each change; or the one that says why there was none."""
    return [change_event(entry, outcome) for entry in history] or [outcome_event(outcome)]


class AnnounceStage:
    """Sends events and dead letters, and waits until Kafka has them."""

    def __init__(self, producer: Producer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics

    async def announce(self, applied: Iterable[Applied]) -> None:
        """Announce what became of these requests, in order."""
        await self.send(
            (event, trace)
            for one in applied
            for trace in (one.item.traceparent,)
            for event in events_of(one.outcome, one.history)
        )

    async def send(self, events: Iterable[tuple[Event, str | None]]) -> None:
        """Send events, each with the trace it belongs to."""
        pending: list[asyncio.Future[object]] = []
        size = 0
        for event, trace in events:
            key, headers = event.key.encode(), event.headers(trace)
            bytes_more = len(key) + len(event.body) + sum(len(name) + len(value) for name, value in headers)
            if size + bytes_more > _IN_FLIGHT_BYTES:
                await acknowledged(pending)
                pending.clear()
                size = 0
            size += bytes_more
            pending.append(
                await self._producer.send(self._topics.events, key=key, value=event.body, headers=headers)
            )
        await acknowledged(pending)

    async def set_aside(self, rejected: Rejected) -> None:
        """Send a record to the dead-letter topic, byte for byte; of one that does not fit there, what tells of it.

        A compressed record may be larger than the topic's limit: the broker measures it compressed.
        """
        record = rejected.record
        headers = dead_letter_headers(record, rejected.error, rejected.stage)
        # aiokafka sends no record without both key and value: of one that has neither, the value is empty.
        value = b"" if record.key is None and record.value is None else record.value
        try:
            sent = await self._producer.send(
                self._topics.dead_letters, key=record.key, value=value, headers=headers
            )
        except BatchRejectedError:
            headers = oversize_headers(record, rejected.error, rejected.stage)
            sent = await self._producer.send(self._topics.dead_letters, key=None, value=b"", headers=headers)
        await acknowledged([sent])
