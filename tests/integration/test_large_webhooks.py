"""Large events on their way to webhooks: as many as a worker can hold, and nobody else waits for them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaProducer, TopicPartition
from sqlalchemy import func, select

from agents.webhooks.intake import Intake
from infra.postgres import Database
from infra.postgres.tables import LARGE_BODY_BYTES, webhook_deliveries
from schemas.events import Event
from schemas.sizes import TOGETHER_BYTES
from streams.consumers import make_consumer, poll
from streams.producer import Producer
from streams.settings import MIB, KafkaSettings
from streams.topics import Topics, ensure_topics
from tests.harness.memory import traced
from tests.integration.feeds_world import WAIT_S, added
from tests.integration.gateway_world import announce, eventually
from tests.integration.test_webhooks import delivering, log_of, text_of, webhook


async def test_two_large_ones_are_under_way_and_small_ones_pass_them(
    kafka_settings: KafkaSettings, database: Database
) -> None:
    hooks, users, answer_large = range(3), range(4), asyncio.Event()
    under_way, most, large, small = 0, 0, set[str](), list[str]()

    async def receive(request: web.Request) -> web.Response:
        nonlocal under_way, most
        text = text_of(await request.read())
        if len(text) < LARGE_BODY_BYTES:
            small.append(text)
            return web.Response()
        under_way += 1
        most = max(most, under_way)
        await answer_large.wait()
        under_way -= 1
        large.add(f"{request.path}/{text[:10]}")
        return web.Response()

    app = web.Application(client_max_size=100 * MIB)
    app.router.add_post("/{webhook}", receive)
    async with TestServer(app) as server:
        for hook in hooks:
            webhook(database, str(server.make_url(f"/{hook}")))
        async with delivering(kafka_settings, database, timeout_s=60) as publish:
            await publish(*(added(f"{user:010}" + "x" * LARGE_BODY_BYTES, f"user{user}") for user in users))

            async def two_under_way() -> bool:
                return under_way == 2

            await eventually(two_under_way)
            texts = [f"small {number}" for number in range(5)]
            for text in texts:
                await publish(added(text))

            async def passed() -> bool:
                return len(small) == len(texts) * len(hooks)

            await eventually(passed)
            answer_large.set()

            async def done() -> bool:
                return len(large) == len(users) * len(hooks)

            await eventually(done)
    assert most == 2
    assert large == {f"/{hook}/{user:010}" for hook in hooks for user in users}


async def test_who_takes_no_large_ones_is_told_of_the_small_ones(
    kafka_settings: KafkaSettings, database: Database
) -> None:
    took, patient = set[str](), {"retry_first_s": 3_600, "retry_longest_s": 3_600}

    async def receive(request: web.Request) -> web.Response:
        text = text_of(await request.read())
        if len(text) >= LARGE_BODY_BYTES:
            return web.Response(status=413)
        took.add(text)
        return web.Response()

    app = web.Application(client_max_size=100 * MIB)
    app.router.add_post("/", receive)
    async with TestServer(app) as server:
        mine = webhook(database, str(server.make_url("/")))
        async with delivering(kafka_settings, database, **patient) as publish:
            await publish(added("x" * LARGE_BODY_BYTES, "large"))

            async def noted() -> bool:
                return any(line.response_status == 413 for line in log_of(database, mine.id))

            await eventually(noted)
            texts = {f"small {number}" for number in range(5)}
            await publish(*(added(text, text) for text in texts))

            async def told() -> bool:
                return took == texts

            await eventually(told)


@dataclass
class Queue:
    """What webhooks wait for, of events that were published before."""

    kafka: KafkaSettings
    database: Database

    def __len__(self) -> int:
        with self.database._connection() as connection:
            count: int = connection.execute(select(func.count()).select_from(webhook_deliveries)).scalar_one()
            return count

    async def publish(self, *events: Event) -> None:
        await ensure_topics(self.kafka)
        async with Producer(self.kafka) as producer:
            await announce(producer, self.kafka, *events)

    async def take_in(self, count: int) -> None:
        """Until so many deliveries wait."""

        async def there() -> bool:
            assert not intake.done(), intake.exception()
            return await asyncio.to_thread(self.__len__) == count

        intake = asyncio.create_task(Intake(self.kafka, self.database.webhook_queue, lambda: None).run())
        try:
            await eventually(there, 180)
        finally:
            intake.cancel()
            await asyncio.wait({intake})


@pytest.fixture
def queue(kafka_settings: KafkaSettings, database: Database) -> Queue:
    return Queue(kafka_settings, database)


async def test_large_events_are_queued_one_part_after_the_other(queue: Queue) -> None:
    hooks, events, size = 20, 3, 2 * MIB  # more than is fetched of a partition at a time
    for _ in range(hooks):
        webhook(queue.database, "https://x.example/")
    await queue.publish(*(added("x" * size) for _ in range(events)))
    with traced() as memory:
        await queue.take_in(hooks * events)
    # A body has the text twice, and is in hand several times while it is written.
    assert memory.peak < 2 * size * hooks


async def test_what_was_killed_between_two_parts_queues_all_and_each_once(queue: Queue) -> None:
    hooks = [webhook(queue.database, "https://x.example/") for _ in range(3)]
    await queue.publish(added("x" * TOGETHER_BYTES))

    def die() -> None:
        killed.cancel()

    killed = asyncio.create_task(Intake(queue.kafka, queue.database.webhook_queue, wake=die).run())
    await asyncio.wait({killed}, timeout=WAIT_S)
    assert killed.cancelled()
    assert len(queue) < len(hooks)
    await queue.take_in(len(hooks))


async def test_what_is_small_only_while_compressed_is_read_a_few_at_a_time(kafka_settings: KafkaSettings) -> None:
    await ensure_topics(kafka_settings)
    topic, count, size = Topics.of(kafka_settings).events, 20, MIB
    options = {"bootstrap_servers": kafka_settings.bootstrap_servers, "compression_type": "gzip"}
    async with AIOKafkaProducer(**options, max_request_size=2 * size) as producer:
        for number in range(count):
            await producer.send_and_wait(topic, b"x" * size, key=str(number).encode(), partition=0)
    consumer = make_consumer(kafka_settings)
    await consumer.start()
    read: list[bytes] = []
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        async with asyncio.timeout(WAIT_S):
            while len(read) < count:
                records, enough = await poll(consumer)
                assert len(records) <= TOGETHER_BYTES // size
                assert enough == (len(records) == TOGETHER_BYTES // size)
                read += [record.key for record in records]
    finally:
        await consumer.stop()
    assert read == [str(number).encode() for number in range(count)]
