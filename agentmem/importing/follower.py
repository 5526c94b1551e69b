"""Following what was published until the workers have announced all of it.

Events are announced after both stores are written, so a request whose events are all there can be searched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import orjson
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from agentmem.exit_codes import CommandError, ExitCode
from agentmem.importing.outcomes import Outcomes
from agentmem.importing.progress import Bar
from agentmem.importing.requests import Record
from schemas.problems import MisconfiguredError, StoreUnavailableError
from schemas.requests import DEFAULT_PROJECT
from streams.consumers import make_consumer
from streams.settings import CLIENT_MAX_BYTES, KafkaSettings
from streams.topics import Topics, partition_counts

#: Requests that may be waited for at a time. Publishing pauses there, so memory stays bounded.
MAX_PENDING: Final = 10_000
#: How often, in records, events are taken in while publishing.
LOOK_EVERY: Final = 250
_WHY: Final = "__connect.errors.exception."
_POLL_MS: Final = 500
_RECORDS_PER_POLL: Final = 1_000


class Follower:
    """Reads events and dead letters from where they stand at its start. Use as ``async with``."""

    def __init__(self, settings: KafkaSettings, outcomes: Outcomes, stall_s: float, bar: Bar) -> None:
        self._settings = settings
        self._topics = Topics.of(settings)
        self._outcomes = outcomes
        self._stall_s = stall_s
        self._bar = bar
        self._since_look = 0
        self._consumer = make_consumer(
            settings,
            max_partition_fetch_bytes=CLIENT_MAX_BYTES,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await self._position()
        except KafkaError as error:
            await self._consumer.stop()
            raise StoreUnavailableError("Kafka", str(error)) from error
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def _position(self) -> None:
        partitions = await self._partitions()
        self._consumer.assign(partitions)
        for partition, offset in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, offset)

    async def _partitions(self) -> list[TopicPartition]:
        there = await partition_counts(self._settings)
        wanted = (self._topics.events, self._topics.dead_letters)
        if missing := [topic for topic in wanted if topic not in there]:
            raise MisconfiguredError(f"Kafka has no topic {missing[0]}: run 'agentmem topics'")
        return [TopicPartition(topic, number) for topic in wanted for number in range(there[topic])]

    async def expect(self, record: Record) -> None:
        """Count on this record's events; call before it is published.

        Waits while too many requests are unanswered, and while an earlier record of the same request is:
        which of the two an event answers could not be told.
        """
        self._since_look += 1
        if self._since_look >= LOOK_EVERY:
            self._since_look = 0
            await self._take(0)
        key = record.project, record.request_id
        await self._while(lambda: len(self._outcomes.pending) >= MAX_PENDING or key in self._outcomes.pending)
        self._outcomes.pending[key] = set()

    async def wait(self) -> None:
        """Wait until every request is answered."""
        await self._while(lambda: bool(self._outcomes.pending))

    async def _while(self, unanswered: Callable[[], bool]) -> None:
        """Wait as long as this holds.

        Raises ``CommandError`` when no record at all arrives for the time that a stall may take: workers
        that are busy with somebody else's requests are no stall.
        """
        moved = time.monotonic()
        while unanswered():
            if await self._take(_POLL_MS):
                moved = time.monotonic()
            elif time.monotonic() - moved > self._stall_s:
                raise CommandError(
                    f"nothing was applied for {self._stall_s:.0f} s, and {len(self._outcomes.pending)} of the "
                    "published requests still wait: is a worker running?",
                    ExitCode.UNAVAILABLE,
                )

    async def _take(self, timeout_ms: int) -> int:
        """Read what has arrived; returns how many records that were."""
        try:
            batches = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=_RECORDS_PER_POLL)
        except KafkaError as error:
            raise StoreUnavailableError("Kafka", repr(error)) from error
        records = [record for batch in batches.values() for record in batch]
        for record in records:
            self._read(record)
        self._bar.show(self._outcomes.answered)
        return len(records)

    def _read(self, record: ConsumerRecord) -> None:
        document = _document(record.value)
        if document is None:
            return
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        if record.topic == self._topics.dead_letters:
            reason = headers.get(f"{_WHY}class.name", "dead-lettered")
            self._outcomes.dead_lettered(document, f"{reason}: {headers.get(f'{_WHY}message', '')}")
        else:
            self._outcomes.event(document, headers.get("ce_type", ""))


def _document(value: bytes | None) -> dict[str, Any] | None:
    """The record's JSON, if it could be one of ours: the dead-letter topic holds anybody's, and anything."""
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    identity = document.get("project", DEFAULT_PROJECT), document.get("request_id")
    return document if all(isinstance(part, str) for part in identity) else None
