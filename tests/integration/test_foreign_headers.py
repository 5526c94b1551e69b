"""Headers that none of ours writes, without value or in bytes that are no UTF-8: whoever reads gets past them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import orjson
import pytest
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as producing
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from rich.progress import Progress

from agentmem.importing.follower import Follower
from agentmem.importing.outcomes import Outcomes
from agentmem.importing.progress import Bar
from agentmem.importing.requests import Record
from streams.dead_letter_log import read_dead_letters
from streams.dead_letters import PREFIX
from streams.producer import Producer, acknowledged
from streams.records import Headers
from streams.settings import KafkaSettings
from streams.topics import Topics, ensure_topics
from tests.integration.feeds_world import FeedsWorld, added
from tests.integration.test_foreign_producers import NotUtf8

STALL_S = 60


@pytest.fixture
async def producer(kafka_settings: KafkaSettings) -> AsyncIterator[Producer]:
    await ensure_topics(kafka_settings)
    async with Producer(kafka_settings) as started:
        yield started


async def send(producer: Producer, topic: str, key: str, value: bytes, *headers: tuple[str, bytes | None]) -> None:
    await acknowledged([await producer.send(topic, key=key.encode(), value=value, headers=headers)])


async def test_among_the_events_they_end_no_stream(feeds: FeedsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (message_accumulator, producing):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    before, after = added("before"), added("after")
    async with feeds.stream() as live:
        await feeds.publish(before)
        for header in (("ce_id", None), ("ce_id", b"\xff"), (NotUtf8("x"), b"v")):
            await send(feeds.producer, Topics.of(feeds.kafka).events, before.key, b"{}", header)
        await feeds.publish(after)
        assert await live.texts(2) == ["before", "after"]
    async with feeds.stream("?from=beginning") as resumed:
        assert await resumed.texts(2) == ["before", "after"]


async def test_a_dead_letter_is_read_with_the_headers_that_it_has(
    kafka_settings: KafkaSettings, producer: Producer
) -> None:
    headers: Headers = (("mine", None), ("mine", b""), ("mine", b"\xff"))
    topic = Topics.of(kafka_settings).dead_letters
    await send(producer, topic, "key", b"value", *headers, (f"{PREFIX}stage", b"decode"))
    async with aclosing(read_dead_letters(kafka_settings, "beginning")) as letters:
        [letter] = [one async for one in letters]
    assert (letter.own_headers, letter.stage) == (headers, "decode")


async def test_an_import_reads_on_past_a_header_without_value(
    kafka_settings: KafkaSettings, producer: Producer
) -> None:
    record = Record("default", "aside", b"default/user:nobody", orjson.dumps({"request_id": "aside"}))
    outcomes = Outcomes()
    bar = Bar(Progress(disable=True), "applied", 1)
    async with Follower(kafka_settings, outcomes, STALL_S, bar) as follower:
        await follower.expect(record)
        reasons = (f"{PREFIX}exception.class.name", b"invalid_schema"), (f"{PREFIX}exception.message", b"no op")
        topic = Topics.of(kafka_settings).dead_letters
        await send(producer, topic, record.key.decode(), record.value, ("mine", None), *reasons)
        await follower.wait()
    assert outcomes.failures == ["request aside: invalid_schema: no op"]
