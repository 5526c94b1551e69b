"""From ``memory-events`` into the queue: a consumer group of its own, which commits what is queued."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from infra.postgres.webhook_queue import Queued, WebhookQueue
from infra.webhooks.payload import payload
from schemas.inbound import InboundEvent, decode_event
from schemas.problems import StoreUnavailableError
from schemas.sizes import TOGETHER_BYTES
from schemas.webhooks import Webhook
from streams.consumers import make_consumer, poll
from streams.settings import MIB, KafkaSettings
from streams.topics import Topics

_log = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0
#: How long events gather while their projects have no webhooks: the pipeline needs the time more.
_GATHER_S: Final = 0.5


class Intake:
    """Puts each event into the queue of every webhook that wants it, in log order, before it is committed."""

    def __init__(self, settings: KafkaSettings, queue: WebhookQueue, wake: Callable[[], None]) -> None:
        self._settings = settings
        self._queue = queue
        self._wake = wake

    async def run(self) -> None:
        """Read until cancelled; after a failure from what was committed last."""
        while True:
            try:
                await self._session()
            except (KafkaError, StoreUnavailableError) as error:
                _log.warning("webhooks wait for a store", problem=str(error))
            await asyncio.sleep(_RETRY_S)

    async def _session(self) -> None:
        consumer = make_consumer(
            self._settings,
            Topics.of(self._settings).events,
            group_id=self._settings.webhook_group,
            session_timeout_ms=int(self._settings.session_timeout_s * 1000),
            # Of each partition so much is fetched ahead while the queue is written to. What is larger comes alone.
            max_partition_fetch_bytes=MIB,
            enable_auto_commit=False,
            # A group that is new reads what is kept; a webhook takes only what is younger than itself.
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            while True:
                records, enough = await poll(consumer)
                if records:
                    wanted = await self._put(records)
                    await consumer.commit({TopicPartition(r.topic, r.partition): r.offset + 1 for r in records})
                    if not (wanted or enough):
                        await asyncio.sleep(_GATHER_S)
        finally:
            await consumer.stop()

    async def _put(self, records: Sequence[ConsumerRecord]) -> bool:
        """Queue events; whether any of their projects has webhooks."""
        webhooks = await asyncio.to_thread(self._queue.active, {_project(record) for record in records})
        if not webhooks:
            return False
        for part in _parts(_queued(records, webhooks)):
            await asyncio.to_thread(self._queue.put, part)
            self._wake()
        return True


def _queued(records: Iterable[ConsumerRecord], webhooks: Sequence[Webhook]) -> Iterator[Queued]:
    """What the webhooks are to be told, in log order, each made when it is asked for."""
    projects = {webhook.project for webhook in webhooks}
    for record in records:
        if _project(record) not in projects or (event := _decoded(record)) is None:
            continue
        told = [webhook for webhook in webhooks if webhook.wants(event)]
        body = payload(event) if told else ""
        for webhook in told:
            yield Queued(
                webhook_id=webhook.id,
                project=webhook.project,
                event_id=event.id,
                event_type=event.type,
                key=event.key.decode(),
                body=body,
                request_id=event.body.request_id,
                request_index=event.body.index,
            )


def _parts(queued: Iterable[Queued]) -> Iterator[list[Queued]]:
    """Parts of it, each up to the one with which it is much."""
    part: list[Queued] = []
    size = 0
    for one in queued:
        part.append(one)
        size += len(one.body)
        if size >= TOGETHER_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _project(record: ConsumerRecord) -> str:
    return unquote((record.key or b"").decode(errors="replace").partition("/")[0])


def _decoded(record: ConsumerRecord) -> InboundEvent | None:
    try:
        return decode_event(record.key, record.value, record.headers)
    except ValueError as error:
        _log.warning("a record is no event", partition=record.partition, offset=record.offset, problem=str(error))
        return None
