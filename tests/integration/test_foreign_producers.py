"""Producers that use of Kafka what ours do not: transactions, headers without value or with strange names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.producer import producer as producing
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import Producer

from agentmem.exit_codes import ExitCode
from streams.lag import LagReader
from streams.lenient_headers import read_leniently
from tests.harness.kafka import Message, caught_up, publish
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.systems import new_system
from tests.harness.workload import message

WITHIN_S = 180


@pytest.fixture(scope="module")
def running(stores: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with new_system(stores, tmp_path_factory.mktemp("running"), partitions=1) as made:
        worker = made.start_worker()
        yield made
        assert asyncio.run(worker.stop()) == ExitCode.OK


def add(user: str, text: str) -> Message:
    return message({"request_id": f"{user}/{text}", "op": "add", "user_id": user, "text": text})


@asynccontextmanager
async def transactional(system: System) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=system.kafka.bootstrap_servers, transactional_id=f"test-{uuid4().hex}"
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def texts(system: System, user: str) -> set[str]:
    rows = (await observe(system)).rows.values()
    return {row.text for row in rows if row.scope.user_id == user}


async def test_the_group_catches_up_with_committed_and_aborted_transactions(running: System) -> None:
    """The end of a transaction is a record that nobody gets: the group is behind it until it says otherwise."""
    topic = running.topics.requests
    async with transactional(running) as producer:
        for text, commits in (("taken back", False), ("kept", True), ("taken back too", False)):
            await producer.begin_transaction()
            one = add("tx", text)
            await producer.send_and_wait(topic, one.value, one.key)
            await (producer.commit_transaction() if commits else producer.abort_transaction())
    await caught_up(running, WITHIN_S)
    assert await texts(running, "tx") == {"kept"}
    await publish(running, [add("tx", "afterwards")])
    await caught_up(running, WITHIN_S)
    assert await texts(running, "tx") == {"kept", "afterwards"}


async def test_an_open_transaction_holds_records_back_and_is_no_lag(running: System) -> None:
    topic = running.topics.requests
    async with LagReader(running.kafka, readable=True) as readable, LagReader(running.kafka) as all_there:
        async with transactional(running) as producer:
            await producer.begin_transaction()
            one = add("open", "not yet")
            await producer.send_and_wait(topic, one.value, one.key)
            await publish(running, [add("open", "behind it")])
            assert (await readable.read()).total == 0
            assert (await all_there.read()).total == 2
            await producer.commit_transaction()
        await caught_up(running, WITHIN_S)
        assert (await all_there.read()).total == 0
    assert await texts(running, "open") == {"not yet", "behind it"}


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_records_may_be_compressed_in_every_way(running: System, compression: str) -> None:
    user = f"compressed-{compression}"
    one = add(user, "small")
    producer = Producer(
        {"bootstrap.servers": running.kafka.bootstrap_servers, "compression.type": compression, "linger.ms": 50}
    )
    for _ in range(50):  # alike, so that compressing pays
        producer.produce(running.topics.requests, one.value, one.key)
    assert await asyncio.to_thread(producer.flush, WITHIN_S) == 0
    await caught_up(running, WITHIN_S)
    assert await texts(running, user) == {"small"}


class NotUtf8(str):
    """A name as a producer in another language may give it: any bytes."""

    def encode(self, *_: Any) -> bytes:
        return b"caf\xe9"


@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_a_header_name_that_is_not_utf8_harms_nobody(
    running: System, monkeypatch: pytest.MonkeyPatch, compression: str | None
) -> None:
    for module in (message_accumulator, producing):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    user = f"headers-{compression}"
    topic = running.topics.requests
    producer = AIOKafkaProducer(
        bootstrap_servers=running.kafka.bootstrap_servers, compression_type=compression, linger_ms=50
    )
    await producer.start()
    try:
        names = ["plain", NotUtf8("x"), "plain", NotUtf8("x"), "plain"]
        for number, name in enumerate(names):
            one = add(user, f"text {number}")
            await producer.send(topic, one.value, one.key, headers=[(name, b"v")])
        # One that is set aside, to see the name there.
        await producer.send(topic, b"no json", user.encode(), headers=[(NotUtf8("x"), b"v"), ("null", None)])
    finally:
        await producer.stop()
    await caught_up(running, WITHIN_S)
    read_leniently()
    seen = await observe(running)
    assert await texts(running, user) == {f"text {number}" for number in range(len(names))}
    [letter] = [one for one in seen.dead_letters if one.record.key == user.encode()]
    assert letter.own_headers == (("caf\\xe9", b"v"), ("null", None))
