"""Event streams over a WebSocket."""

from __future__ import annotations

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from gateway.auth.authenticator import Authenticator
from gateway.feeds.readers import Reader
from gateway.services import SERVICES
from tests.integration.feeds_world import WAIT_S, FeedsWorld, added, receive


async def test_subscriptions_come_and_go(feeds: FeedsWorld) -> None:
    async with feeds.socket() as socket:
        await socket.send_json({"action": "ping"})
        await receive(socket, "pong")
        await socket.send_json(
            {"action": "subscribe", "subscription": "a", "user_id": "alice", "types": ["added"]}
        )
        assert (await receive(socket, "subscribed"))["subscription"] == "a"
        await feeds.publish(added("bob's", "bob"), added("1"), added("theirs", project="theirs"))
        message = await receive(socket, "event")
        assert message["subscription"] == "a"
        assert message["event"]["data"]["memory"]["text"] == "1"

        await socket.send_json({"action": "unsubscribe", "subscription": "a"})
        ended = await receive(socket, "unsubscribed")
        await feeds.publish(added("2"))
        again = {"action": "subscribe", "subscription": "b", "user_id": "alice", "from": ended["cursor"]}
        await socket.send_json(again)
        await receive(socket, "subscribed")
        message = await receive(socket, "event")
        assert (message["subscription"], message["event"]["data"]["memory"]["text"]) == ("b", "2")
        cursor = message["cursor"]

    await feeds.publish(added("3"))
    async with feeds.socket(gateway=1) as socket:
        await socket.send_json({"action": "subscribe", "from": cursor})
        assert (await receive(socket, "subscribed"))["subscription"] == "default"
        # The first gateway may have read bob's event, of another partition, only after that of the cursor.
        while (text := (await receive(socket, "event"))["event"]["data"]["memory"]["text"]) != "3":
            assert text == "bob's"
    async with feeds.stream(cursor=cursor) as stream:
        while (text := (await stream.next()).text) != "3":
            assert text == "bob's"


async def test_two_subscriptions_have_each_their_own(feeds: FeedsWorld) -> None:
    async with feeds.socket() as socket:
        for user in ("alice", "bob"):
            await socket.send_json({"action": "subscribe", "subscription": user, "user_id": user})
            await receive(socket, "subscribed")
        await feeds.publish(added("a"), added("b", "bob"))
        found = [await receive(socket, "event") for _ in range(2)]
        texts = {message["subscription"]: message["event"]["data"]["memory"]["text"] for message in found}
        assert texts == {"alice": "a", "bob": "b"}


async def test_what_is_wrong_is_told_by_name_and_the_connection_stays(feeds: FeedsWorld) -> None:
    async with feeds.stream(token=feeds.foreign_token) as theirs, feeds.socket() as socket:
        for text, code, about in (
            ("{", "invalid_json", "not JSON"),
            ("[]", "invalid_json", "object"),
            ('{"action": "dance"}', "invalid_request", "action"),
            ('{"action": "subscribe", "usr": "a"}', "invalid_request", "usr"),
            ('{"action": "subscribe", "types": ["made"]}', "invalid_request", "made"),
            ('{"action": "subscribe", "user_id": ""}', "invalid_request", "user_id"),
            ('{"action": "subscribe", "from": "x"}', "invalid_request", "cursor"),
            (f'{{"action": "subscribe", "from": "{theirs.cursor}"}}', "invalid_request", "cursor"),
            ('{"action": "unsubscribe", "subscription": "x"}', "not_subscribed", "no subscription"),
        ):
            await socket.send_str(text)
            error = await receive(socket, "error")
            assert error["code"] == code, text
            assert about in error["detail"], error
        for _ in range(2):
            await socket.send_json({"action": "subscribe"})
        kinds = [(await socket.receive_json(timeout=WAIT_S))["type"] for _ in range(2)]
        assert sorted(kinds) == ["error", "subscribed"]


async def test_without_a_key_there_is_no_socket(feeds: FeedsWorld) -> None:
    with pytest.raises(WSServerHandshakeError, match="401"):
        async with feeds.socket("am_wrong"):
            pass
    async with feeds.gateways[0].get("/v1/events/ws", headers=feeds.headers()) as response:
        assert response.status == 400


async def test_a_connection_ends_with_its_key(feeds: FeedsWorld) -> None:
    key = feeds.database.credentials.issue_key("ours", "short-lived")
    async with feeds.socket(key.token) as socket:
        feeds.database.credentials.revoke_key("ours", key.key.id)
        message = await socket.receive(timeout=WAIT_S)
        assert message.type is WSMsgType.CLOSE
        assert message.data == 1008


async def test_a_subscription_that_fails_says_so_with_its_cursor(
    feeds: FeedsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    async with feeds.socket() as socket:
        await socket.send_json({"action": "subscribe"})
        cursor = (await receive(socket, "subscribed"))["cursor"]
        with monkeypatch.context() as broken:
            broken.setattr(Reader, "next", fail)
            closed = await receive(socket, "closed")
        assert (closed["subscription"], closed["reason"], closed["cursor"]) == ("default", "ended", cursor)
        with monkeypatch.context() as broken:
            broken.setattr(Reader, "cursor", property(lambda _: 1 / 0))
            await socket.send_json({"action": "subscribe"})
            assert (await receive(socket, "error"))["code"] == "internal_error"
        await feeds.publish(added("1"))
        await socket.send_json({"action": "subscribe", "from": cursor})
        await receive(socket, "subscribed")
        assert (await receive(socket, "event"))["event"]["data"]["memory"]["text"] == "1"


async def test_a_connection_over_which_nobody_watches_is_closed(
    feeds: FeedsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    async with feeds.socket() as socket:
        monkeypatch.setattr(Authenticator, "find", fail)
        message = await socket.receive(timeout=WAIT_S)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)


async def test_a_gateway_that_stops_says_so(feeds: FeedsWorld) -> None:
    async with feeds.socket() as socket:
        await socket.send_json({"action": "subscribe"})
        cursor = (await receive(socket, "subscribed"))["cursor"]
        feeds.gateways[0].app[SERVICES].readers.stop()
        closed = await receive(socket, "closed")
        assert (closed["reason"], closed["cursor"]) == ("ended", cursor)
        assert (await socket.receive(timeout=WAIT_S)).data == 1001
