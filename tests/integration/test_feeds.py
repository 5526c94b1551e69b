"""Event streams: live, resumed on any gateway without loss, bounded, and each project's own."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from aiohttp import ClientError
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import KafkaConnectionError
from sqlalchemy import text

from gateway.feeds.catchup import CatchUp, CatchUps
from gateway.feeds.hub import FeedFilter, StreamEndedError
from gateway.feeds.readers import BEGINNING, Reader
from gateway.services import SERVICES
from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from schemas.events import outcome_event
from streams.settings import KafkaSettings
from streams.topics import Topics
from tests.integration.feeds_world import WAIT_S, FeedsWorld, added, feeds_world
from tests.integration.gateway_world import eventually
from tests.unit.test_gateway_feeds import outcome


async def test_a_stream_has_what_it_asked_for_in_order(feeds: FeedsWorld) -> None:
    async with (
        feeds.stream("?user_id=alice&type=added") as one,
        feeds.stream() as all_of_ours,
        feeds.stream(token=feeds.foreign_token) as theirs,
    ):
        await feeds.publish(
            added("0"),
            added("bob's", "bob"),
            outcome_event(outcome(0)),
            *(added(str(number)) for number in range(1, 20)),
            added("theirs", project="theirs"),
        )
        assert await one.texts(20) == [str(number) for number in range(20)]
        message = await theirs.next()
        assert (message.event, message.text) == ("agentmem.memory.added", "theirs")
        assert message.data["data"]["project"] == "theirs"
        texts = await all_of_ours.texts(21)
        assert [text for text in texts if text != "bob's"] == [str(number) for number in range(20)]


async def test_a_cursor_goes_on_where_it_stands_on_any_gateway(feeds: FeedsWorld) -> None:
    async with feeds.stream() as stream:
        await feeds.publish(*(added(str(number)) for number in range(5)))
        first = [await stream.next() for _ in range(3)]
    await feeds.publish(*(added(str(number)) for number in range(5, 8)))
    for gateway in (0, 1):
        async with feeds.stream(gateway=gateway, cursor=first[1].id) as stream:
            assert await stream.texts(6) == ["2", "3", "4", "5", "6", "7"]
        async with feeds.stream(f"?from={first[2].id}", gateway=gateway) as stream:
            assert await stream.texts(5) == ["3", "4", "5", "6", "7"]
    async with feeds.stream("?from=beginning", cursor=first[2].id) as stream:
        assert await stream.texts(1) == ["3"]
    async with feeds.stream("?from=beginning") as stream:
        assert await stream.texts(8) == [str(number) for number in range(8)]
        await feeds.publish(added("live"))
        assert await stream.texts(1) == ["live"]
    async with feeds.stream("?from=now") as stream:
        await feeds.publish(added("new"))
        assert await stream.texts(1) == ["new"]


async def test_a_quiet_stream_knows_how_far_it_is(feeds: FeedsWorld) -> None:
    async with feeds.stream("?user_id=nobody") as quiet:
        begin = quiet.cursor
        await feeds.publish(*(added(str(number)) for number in range(10)))

        async def moved() -> bool:
            quiet.cursor = ""
            return await quiet.position() != begin

        await eventually(moved)
        cursor = quiet.cursor
    await feeds.publish(added("after"))
    async with feeds.stream(cursor=cursor, gateway=1) as stream:
        texts = [(await stream.next()).text]
        while texts[-1] != "after":
            texts += await stream.texts(1)
        assert len(texts) == len(set(texts))


@pytest.mark.parametrize("seed", range(2))
async def test_readers_that_come_and_go_miss_nothing_and_see_nothing_twice(feeds: FeedsWorld, seed: int) -> None:
    users, each = 5, 80
    chance = random.Random(seed)

    async def write() -> None:
        for number in range(each):
            await feeds.publish(*(added(str(number), f"user{user}") for user in range(users)))
            if chance.random() < 0.2:
                await asyncio.sleep(0.05)

    async def read(chance: random.Random) -> None:
        seen: dict[str, list[str]] = {f"user{user}": [] for user in range(users)}
        cursor, count = begin, 0
        while count < users * each:
            async with feeds.stream(cursor=cursor, gateway=chance.randrange(2)) as stream:
                for _ in range(chance.randrange(1, 150)):
                    message = await stream.next()
                    seen[message.data["data"]["memory"]["user_id"]].append(message.text)
                    cursor, count = message.id, count + 1
                    if count == users * each:
                        break
        assert seen == {f"user{user}": [str(number) for number in range(each)] for user in range(users)}

    async with feeds.stream() as stream:
        begin = stream.cursor
    async with asyncio.timeout(240), asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        for number in range(4):
            tasks.create_task(read(random.Random(100 * seed + number)))


async def test_a_cursor_that_is_too_old_is_gone(feeds: FeedsWorld) -> None:
    async with feeds.stream() as stream:
        await feeds.publish(*(added(str(number), f"user{number}") for number in range(40)))
        messages = [await stream.next() for _ in range(40)]
    topic = Topics.of(feeds.kafka).events
    admin = AIOKafkaAdminClient(bootstrap_servers=feeds.kafka.bootstrap_servers)
    await admin.start()
    try:
        everything = [TopicPartition(topic, partition) for partition in range(feeds.kafka.partitions)]
        await admin.delete_records({partition: RecordsToDelete(-1) for partition in everything})
    finally:
        await admin.close()
    status, problem = await feeds.refusal(f"?from={messages[3].id}")
    assert (status, problem["code"]) == (410, "cursor_expired")
    assert "from=beginning" in problem["detail"]
    await feeds.publish(added("still there"))
    for start in (messages[-1].id, "beginning"):
        async with feeds.stream(f"?from={start}") as stream:
            assert await stream.texts(1) == ["still there"]


async def test_a_foreign_cursor_is_like_nonsense(feeds: FeedsWorld) -> None:
    async with feeds.stream() as stream:
        await feeds.publish(added("a secret of ours"))
        cursor = (await stream.next()).id
    answers = [
        await feeds.refusal(f"?from={text}", feeds.foreign_token)
        for text in (cursor, cursor[:-2], "x" * 30, "x" * 5000, "%00", "%C3%A9", "AAAA")
    ]
    assert {status for status, _ in answers} == {400}
    assert {problem["detail"] for _, problem in answers} == {answers[0][1]["detail"]}
    async with feeds.stream("?from=beginning", token=feeds.foreign_token) as theirs:
        await feeds.publish(added("ours again"), added("theirs", project="theirs"))
        assert await theirs.texts(1) == ["theirs"]


async def test_a_stream_ends_when_its_key_does(feeds: FeedsWorld) -> None:
    key = feeds.database.credentials.issue_key("ours", "short-lived")
    async with feeds.stream(token=key.token) as stream:
        feeds.database.credentials.revoke_key("ours", key.key.id)
        message = await stream.next()
        assert message.event == "agentmem.stream.cut_off"
        assert "credential" in message.data


async def test_a_stream_whose_key_cannot_be_looked_up_ends_with_its_cursor(
    feeds: FeedsWorld, postgres_settings: PostgresSettings
) -> None:
    role = postgres_settings.gateway_role
    async with feeds.stream() as stream:
        begin = stream.cursor
        with feeds.database._connection() as connection:
            connection.execute(text(f"REVOKE SELECT ON api_keys FROM {role}"))
        message = await stream.next()
        assert (message.event, message.id) == ("agentmem.stream.ended", begin)
        assert "The gateway failed" in message.data
        assert await stream.response.content.read() == b""
    with feeds.database._connection() as connection:
        connection.execute(text(f"GRANT SELECT ON api_keys TO {role}"))
    await feeds.publish(added("after"))
    async with feeds.stream(cursor=begin) as resumed:
        assert await resumed.texts(1) == ["after"]


async def test_a_stream_that_fails_after_an_event_was_taken_goes_on_with_that_event(
    feeds: FeedsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Reader.next

    async def fail(reader: Reader, timeout_s: float) -> None:
        if await take(reader, timeout_s) is not None:
            raise RuntimeError("a defect")

    async with feeds.stream() as stream:
        await feeds.publish(added("0"))
        cursor = (await stream.next()).id
        with monkeypatch.context() as broken:
            broken.setattr(Reader, "next", fail)
            # The one that is under way still returns the first.
            await feeds.publish(added("1"), added("2"))
            texts = []
            while (message := await stream.next()).event != "agentmem.stream.ended":
                texts.append(message.text)
                cursor = message.id
        assert message.id == cursor
    async with feeds.stream(cursor=message.id) as resumed:
        assert texts + await resumed.texts(2 - len(texts)) == ["1", "2"]


async def test_a_slow_reader_is_cut_off_and_the_others_go_on(
    kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    number = 80
    world = feeds_world(kafka_settings, postgres_settings, embedder, 1, feed_queue=200, feed_queue_bytes=2_000_000)
    async with world as feeds, feeds.stream() as slow:
        async with feeds.stream() as quick:
            for count in range(number):
                await feeds.publish(added(f"{count} " + "x" * 300_000))
                assert (await quick.next()).text.startswith(f"{count} ")
        got = 0
        # It is told so, if it still takes that; else its connection has gone.
        with suppress(ClientError, ConnectionError, EOFError):
            while (message := await slow.next()).event != "agentmem.stream.cut_off":
                assert message.text.startswith(f"{got} ")
                got += 1
        assert got < number
        async with feeds.stream(cursor=slow.cursor) as resumed:
            for count in range(got, number):
                assert (await resumed.next()).text.startswith(f"{count} ")


async def all_free(feeds: FeedsWorld) -> bool:
    """Whether the gateway has noticed that all of its readers have gone."""
    async with feeds.gateways[0].get("/metrics") as response:
        text = await response.text()
    return "agentmem_gateway_feeds 0.0" in text and "agentmem_gateway_catch_ups 0.0" in text


async def test_there_are_only_so_many_streams_and_catch_ups(
    kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    # Patient with a connection that takes nothing, so that it is still there when the others come.
    bounds = {
        "feeds_max": 2,
        "catch_ups_max": 1,
        "feeds_project_share": 1,
        "feed_queue": 2,
        "feed_send_timeout_s": 120,
    }
    async with feeds_world(kafka_settings, postgres_settings, embedder, 1, **bounds) as feeds:
        # Far more than fits on the way: this reader, which takes nothing, is not caught up for a while.
        await feeds.publish(*(added(f"{count} " + "x" * 300_000) for count in range(60)))
        async with feeds.stream("?from=beginning"):
            status, problem = await feeds.refusal("?from=beginning")
            assert (status, problem["code"]) == (503, "too_many_catch_ups")
            async with feeds.stream():
                status, problem = await feeds.refusal("")
                assert (status, problem["code"]) == (503, "too_many_streams")
        await eventually(partial(all_free, feeds))
        async with feeds.stream("?from=beginning") as stream:
            assert (await stream.next()).text.startswith("0 ")


async def test_one_project_cannot_take_the_places_of_the_others(
    kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    bounds = {"feeds_max": 4, "catch_ups_max": 2, "feeds_project_share": 0.5}
    async with feeds_world(kafka_settings, postgres_settings, embedder, 1, **bounds) as feeds:
        async with feeds.stream(), feeds.stream():
            status, problem = await feeds.refusal("")
            assert (status, problem["code"]) == (503, "too_many_streams")
            assert "your project has 2" in problem["detail"]
            async with feeds.stream(token=feeds.foreign_token):
                pass
        await eventually(partial(all_free, feeds))
        readers = feeds.gateways[0].app[SERVICES].readers
        # Who takes nothing has still to catch up.
        async with readers.open(FeedFilter("ours"), BEGINNING):
            status, problem = await feeds.refusal("?from=beginning")
            assert (status, problem["code"]) == (503, "too_many_catch_ups")
            assert "your project has 1" in problem["detail"]
            async with readers.open(FeedFilter("theirs"), BEGINNING):
                pass


async def test_a_reader_of_the_past_keeps_its_place_for_so_long_however_slow_it_is(
    kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    number, got = 40, 0

    async def read_slowly(reader: Reader) -> None:
        nonlocal got
        while got < number:
            assert await reader.next(WAIT_S) is not None
            got += 1
            await asyncio.sleep(0.2)

    async with feeds_world(kafka_settings, postgres_settings, embedder, 1, catch_up_max_s=2) as feeds:
        await feeds.publish(*(added(str(count)) for count in range(number)))
        async with feeds.gateways[0].app[SERVICES].readers.open(FeedFilter("ours"), BEGINNING) as reader:
            with pytest.raises(StreamEndedError, match="too slowly"):
                await read_slowly(reader)
            cursor = reader.cursor
        async with feeds.stream(cursor=cursor) as stream:
            assert await stream.texts(number - got) == [str(count) for count in range(got, number)]


@pytest.mark.parametrize(("catch_up_max_s", "request_timeout_s"), [(1, 300), (600, 5)])
async def test_a_reader_of_the_past_is_told_that_kafka_went_away(
    kafka_settings: KafkaSettings,
    postgres_settings: PostgresSettings,
    embedder: Embedder,
    catch_up_max_s: float,
    request_timeout_s: float,
) -> None:
    """aiokafka alone would fetch for ever."""

    async def away(*_: Any, **__: Any) -> Any:
        raise KafkaConnectionError("away")

    async def wait(reader: Reader) -> None:
        # Often, as on a stream with a quick heartbeat.
        while True:
            assert await reader.next(0.2) is None

    world = feeds_world(kafka_settings, postgres_settings, embedder, 1, catch_up_max_s=catch_up_max_s)
    async with world as feeds:
        readers = feeds.gateways[0].app[SERVICES].readers
        readers._catch_ups._kafka = kafka_settings.model_copy(update={"request_timeout_s": request_timeout_s})
        await feeds.publish(added("1"))
        async with readers.open(FeedFilter("ours"), BEGINNING) as reader:
            assert reader._past is not None
            consumer = reader._past._consumer
            fetch = consumer.getmany

            async def after_it_went_away(**options: Any) -> Any:
                # What had been fetched before is not what this is about.
                await fetch(**options)
                return {}

            consumer._client.send, consumer.getmany = away, after_it_went_away
            begin = reader.cursor
            with pytest.raises(StreamEndedError, match="Kafka cannot be reached") as ended:
                await asyncio.wait_for(wait(reader), WAIT_S)
            assert not ended.value.cut_off
            assert reader.cursor == begin


async def test_who_leaves_while_the_past_is_being_opened_is_no_defect(
    feeds: FeedsWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opening, left, open_it = asyncio.Event(), asyncio.Event(), CatchUps.open
    runner = feeds.gateways[0].server.runner
    assert runner is not None
    server = runner.server
    assert server is not None

    async def gone() -> bool:
        return all(connection.transport is None for connection in server.connections)

    async def open_late(*arguments: Any) -> CatchUp:
        opening.set()
        await left.wait()
        return await open_it(*arguments)

    await feeds.publish(added("1"))
    monkeypatch.setattr(CatchUps, "open", open_late)
    with caplog.at_level(logging.INFO):
        caller = asyncio.create_task(feeds.refusal("?from=beginning"))
        await opening.wait()
        caller.cancel()
        await asyncio.wait([caller])
        await eventually(gone)
        left.set()
        await eventually(partial(all_free, feeds))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
