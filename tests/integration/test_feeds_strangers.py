"""Event streams against strangers: what is another's is like nothing, over SSE and WebSocket alike."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from infra.onnx import Embedder
from infra.postgres import PostgresSettings
from streams.settings import KafkaSettings
from streams.topics import Topics
from tests.integration.feeds_world import WAIT_S, FeedsWorld, added, feeds_world, receive


async def our_cursors(feeds: FeedsWorld) -> list[str]:
    """Cursors of ours: of a stream that has seen something, and of one that has not."""
    async with feeds.stream() as stream:
        quiet = await stream.position()
        await feeds.publish(added("a secret of ours"))
        return [quiet, (await stream.next()).id]


def forged(cursor: str) -> list[str]:
    """The cursor with one letter changed at each end and in its middle, cut, made longer, and made up."""
    changed = [
        cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        for place in (0, len(cursor) // 2, len(cursor) - 1)
    ]
    return [*changed, cursor[:-1], cursor[1:], cursor + "A", cursor * 2, "A" * len(cursor), "0"]


async def test_a_cursor_that_is_not_ours_opens_no_stream(feeds: FeedsWorld) -> None:
    foreign = await our_cursors(feeds)
    tried = [*foreign, *(text for cursor in foreign for text in forged(cursor))]
    answers = []
    for text in tried:
        for gateway in feeds.gateways:
            headers = feeds.headers(feeds.foreign_token, text)
            async with gateway.get("/v1/events/stream", headers=headers) as response:
                problem = await response.json(content_type=None)
                answers.append((response.status, {**problem, "request_id": ""}))
        status, problem = await feeds.refusal(f"?from={text}", feeds.foreign_token)
        answers.append((status, {**problem, "request_id": ""}))
    assert {status for status, _ in answers} == {400}
    assert all(problem == answers[0][1] for _, problem in answers)


async def test_a_cursor_that_is_not_ours_opens_no_subscription(feeds: FeedsWorld) -> None:
    foreign = await our_cursors(feeds)
    async with feeds.socket(feeds.foreign_token) as socket:
        answers: list[Any] = []
        for text in [*foreign, *(text for cursor in foreign for text in forged(cursor))]:
            await socket.send_json({"action": "subscribe", "from": text})
            answers.append(await receive(socket, "error"))
        assert all(answer == answers[0] for answer in answers)
        assert answers[0]["code"] == "invalid_request"
        # The connection is as good as before, and what it hears is its own.
        await socket.send_json({"action": "subscribe"})
        await receive(socket, "subscribed")
        await feeds.publish(added("ours"), added("theirs", project="theirs"))
        assert (await receive(socket, "event"))["event"]["data"]["memory"]["text"] == "theirs"


async def test_who_names_anothers_user_hears_of_their_own(feeds: FeedsWorld) -> None:
    async with feeds.stream(token=feeds.foreign_token) as stream:
        begin = await stream.position()
    await feeds.publish(added("our alice"), added("their alice", project="theirs"))
    heard: dict[str, list[str]] = {}
    subscribed: set[str] = set()

    def note(message: Any) -> None:
        if message["type"] == "subscribed":
            subscribed.add(message["subscription"])
        elif message["type"] == "event":
            heard[message["subscription"]].append(message["event"]["data"]["memory"]["text"])

    # What is there already and what comes, the events of all and of one user: always theirs alone.
    async with (
        feeds.stream("?user_id=alice", token=feeds.foreign_token) as live,
        feeds.stream("?user_id=alice&from=beginning", token=feeds.foreign_token) as all_of_it,
        feeds.stream("?user_id=alice", cursor=begin, token=feeds.foreign_token) as resumed,
        feeds.socket(feeds.foreign_token) as socket,
    ):
        for name, more in (("live", {}), ("past", {"from": "beginning"}), ("resumed", {"from": begin})):
            wanted = {"action": "subscribe", "subscription": name, "user_id": "alice", **more}
            await socket.send_json(wanted)
            heard[name] = []
        while len(subscribed) < len(heard):
            note(await socket.receive_json(timeout=WAIT_S))
        await feeds.publish(added("our alice again"), added("their alice again", project="theirs"))
        while not all(texts[-1:] == ["their alice again"] for texts in heard.values()):
            note(await socket.receive_json(timeout=WAIT_S))
        for stream in (all_of_it, resumed):
            assert await stream.texts(2) == ["their alice", "their alice again"]
        # Where a gateway had not yet read the first event, it is still to come for a live reader.
        while (text := (await live.next()).text) != "their alice again":
            assert text == "their alice"
    assert heard["past"] == heard["resumed"] == ["their alice", "their alice again"]
    assert set(heard["live"]) <= {"their alice", "their alice again"}


@pytest.mark.parametrize("name", ["project", "key", "scope", "topic", "partition"])
async def test_no_parameter_leads_out_of_the_project(feeds: FeedsWorld, name: str) -> None:
    status, problem = await feeds.refusal(f"?{name}=ours", feeds.foreign_token)
    assert (status, problem["field"]) == (400, name)
    async with feeds.socket(feeds.foreign_token) as socket:
        await socket.send_json({"action": "subscribe", name: "ours"})
        assert name in (await receive(socket, "error"))["detail"]


@pytest.mark.parametrize("user", ["../ours/user:alice", "ours/user:alice", "alice%00", "*", "alice' OR '1'='1"])
async def test_an_id_that_tries_to_be_more_is_a_mere_id(feeds: FeedsWorld, user: str) -> None:
    async with feeds.socket(feeds.foreign_token) as socket:
        await socket.send_json({"action": "subscribe", "user_id": user})
        await receive(socket, "subscribed")
        await feeds.publish(added("ours"), added("theirs", project="theirs"), added("mine", user, "theirs"))
        assert (await receive(socket, "event"))["event"]["data"]["memory"]["text"] == "mine"


async def test_a_cursor_that_is_too_old_is_told_on_a_socket_too(feeds: FeedsWorld) -> None:
    async with feeds.stream() as stream:
        await feeds.publish(*(added(str(number), f"user{number}") for number in range(20)))
        old, *_ = [(await stream.next()).id for _ in range(20)]
    admin = AIOKafkaAdminClient(bootstrap_servers=feeds.kafka.bootstrap_servers)
    await admin.start()
    try:
        topic = Topics.of(feeds.kafka).events
        everything = [TopicPartition(topic, partition) for partition in range(feeds.kafka.partitions)]
        await admin.delete_records({partition: RecordsToDelete(-1) for partition in everything})
    finally:
        await admin.close()
    async with feeds.gateways[0].get("/v1/events/stream", headers=feeds.headers(cursor=old)) as response:
        assert response.status == 410
    async with feeds.socket() as socket:
        await socket.send_json({"action": "subscribe", "from": old})
        error = await receive(socket, "error")
        assert error["code"] == "cursor_expired"
        assert "from=beginning" in error["detail"]
        await socket.send_json({"action": "subscribe", "from": "beginning"})
        await receive(socket, "subscribed")
        await feeds.publish(added("still there"))
        assert (await receive(socket, "event"))["event"]["data"]["memory"]["text"] == "still there"


async def test_a_slow_socket_is_cut_off_with_its_cursor_and_the_others_go_on(
    kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    number = 80
    # Patient with a connection that takes nothing, so that what ends the subscription is its full queue.
    patient = {"feed_heartbeat_s": 120, "feed_send_timeout_s": 120, "feed_queue": 20}
    world = feeds_world(kafka_settings, postgres_settings, embedder, 1, **patient)
    async with world as feeds, feeds.socket() as slow, feeds.socket() as quick:
        for socket in (slow, quick):
            await socket.send_json({"action": "subscribe"})
            subscribed = await receive(socket, "subscribed")
        for count in range(number):
            await feeds.publish(added(f"{count} " + "x" * 300_000))
            text = (await receive(quick, "event"))["event"]["data"]["memory"]["text"]
            assert text.startswith(f"{count} ")
        cursor, got = subscribed["cursor"], 0
        while (message := await slow.receive_json(timeout=WAIT_S))["type"] == "event":
            assert message["event"]["data"]["memory"]["text"].startswith(f"{got} ")
            cursor, got = message["cursor"], got + 1
        assert (message["type"], message["reason"], message["cursor"]) == ("closed", "cut_off", cursor)
        assert got < number
        # The same connection may ask again, and has what is missing.
        await slow.send_json({"action": "subscribe", "from": cursor})
        await receive(slow, "subscribed")
        for count in range(got, number):
            text = (await receive(slow, "event"))["event"]["data"]["memory"]["text"]
            assert text.startswith(f"{count} ")
