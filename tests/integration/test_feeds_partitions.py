"""Event streams that are open while the event topic gets more partitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
from aiokafka.admin import NewPartitions

from gateway.feeds import listener
from gateway.feeds.cursors import Cursors
from gateway.services import SERVICES
from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from streams import consumers
from streams.consumers import make_consumer
from streams.producer import Producer
from streams.settings import KafkaSettings
from streams.topics import Topics, admin_client
from tests.integration.feeds_world import WAIT_S, FeedsWorld, added, feeds_world, receive
from tests.integration.gateway_world import announce, eventually

_USERS = 40


@pytest.fixture
async def feeds(
    kafka_settings: KafkaSettings,
    postgres_settings: PostgresSettings,
    embedder: Embedder,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[FeedsWorld]:
    """One gateway, which sees soon that there are more partitions."""
    monkeypatch.setattr(listener, "make_consumer", partial(make_consumer, metadata_max_age_ms=500))
    # Patient with a connection that takes nothing, so that it is still there afterwards.
    patient = {"feed_queue": 2 * _USERS, "feed_send_timeout_s": 120}
    async with feeds_world(kafka_settings, postgres_settings, embedder, 1, **patient) as world:
        yield world


async def widen(feeds: FeedsWorld) -> set[str]:
    """Add partitions, and an event of each user: some of them are in the new ones. Their texts."""
    topic, number = Topics.of(feeds.kafka).events, feeds.kafka.partitions * 3
    async with admin_client(feeds.kafka) as admin:
        await admin.create_partitions({topic: NewPartitions(number)})

        async def known() -> bool:
            (described,) = await admin.describe_topics([topic])
            return len(described["partitions"]) == number

        await eventually(known)
    texts = {f"new {user}": f"user{user}" for user in range(_USERS)}
    async with Producer(feeds.kafka) as producer:
        await announce(producer, feeds.kafka, *(added(text, user) for text, user in texts.items()))
    return set(texts)


async def test_live_streams_have_what_comes_in_new_partitions(feeds: FeedsWorld) -> None:
    async with feeds.stream() as stream, feeds.socket() as socket:
        await socket.send_json({"action": "subscribe"})
        await receive(socket, "subscribed")
        expected = await widen(feeds)
        found = [await receive(socket, "event") for _ in expected]
        assert {message["event"]["data"]["memory"]["text"] for message in found} == expected
        assert set(await stream.texts(len(expected))) == expected
        await socket.send_json({"action": "ping"})
        assert (await socket.receive_json(timeout=WAIT_S))["type"] in ("pong", "position")


async def test_a_stream_that_is_catching_up_reads_new_partitions_too(feeds: FeedsWorld) -> None:
    # Far more than fits on the way: this reader, which takes nothing yet, is not caught up before there are more.
    before = [added(f"{number} " + "x" * 300_000) for number in range(100)]
    await feeds.publish(*before)
    async with feeds.stream("?from=beginning") as stream:
        expected = await widen(feeds)
        texts = await stream.texts(len(before) + len(expected))
        assert {text for text in texts if text.startswith("new")} == expected
        assert len(set(texts)) == len(texts)
        await feeds.publish(added("live"))
        assert await stream.texts(1) == ["live"]


async def test_a_cursor_over_partitions_that_a_gateway_does_not_know_yet_is_good(
    kafka_settings: KafkaSettings,
    postgres_settings: PostgresSettings,
    embedder: Embedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So that what the gateway knows is read before what it does not.
    monkeypatch.setattr(consumers, "_POLL_RECORDS", 1)
    async with feeds_world(kafka_settings, postgres_settings, embedder, 1) as feeds:
        readers = feeds.gateways[0].app[SERVICES].readers
        known = readers._listener.positions
        expected = await widen(feeds)
        key = await readers._key_of("ours")
        assert key is not None
        # As another gateway writes it that has looked after this one.
        cursor = Cursors(key, "ours", Topics.of(feeds.kafka).events).encode(known + (0,) * 2 * len(known))
        async with feeds.stream(cursor=cursor) as stream:
            assert set(await stream.texts(len(expected))) == expected
