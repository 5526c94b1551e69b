"""Webhooks: from an event to a receiver, whatever the receiver does."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM
from typing import Any
from uuid import UUID

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import select

from agents.webhooks import run_webhooks
from infra.onnx import Embedder
from infra.postgres import Database
from infra.postgres.tables import webhook_deliveries
from infra.postgres.webhook_queue import Attempt, Queued
from infra.webhooks import WebhookSettings, new_secret
from schemas.problems import TooManyError
from schemas.webhooks import Delivery, DeliveryStatus, Webhook
from streams.producer import Producer, acknowledged
from streams.settings import KafkaSettings
from streams.topics import ensure_topics
from tests.harness.system import System
from tests.integration.doors import doors
from tests.integration.feeds_world import added
from tests.integration.gateway_world import NOWHERE, announce, eventually

SETTINGS = WebhookSettings(allow_private=True, timeout_s=60, retry_first_s=0.1, retry_longest_s=0.4)


@dataclass
class Receiver:
    """A server that writes down what it gets, and answers as ``status`` says."""

    status: Callable[[str], int] = lambda _: 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.append((dict(request.headers), body))
        status = self.status(text_of(body))
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else None)

    @property
    def texts(self) -> list[str]:
        return [text_of(body) for _, body in self.got]


def text_of(body: bytes) -> str:
    text: str = orjson.loads(body)["data"]["memory"]["text"]
    return text


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", receiver.receive)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver


def webhook(database: Database, url: str, project: str = "ours", **more: Any) -> Webhook:
    values = {"name": "w", "url": url, "event_types": ["memory_add"], "secret": new_secret(), "ids": {}, **more}
    return database.webhooks.create(project, **values)


def signatures(mine: Webhook, headers: Mapping[str, str], body: bytes, *secrets: str) -> str:
    """What a post signed with these secrets says, the webhook's own if none are named."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    keys = [b64decode(secret.removeprefix("whsec_")) for secret in secrets or (mine.secret,)]
    return " ".join(f"v1,{b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}" for key in keys)


def log_of(database: Database, id: UUID, project: str = "ours") -> list[Delivery]:
    """Oldest first."""
    return database.webhook_log.deliveries(project, id, 100, 0)[1][::-1]


def bodies_of(database: Database, id: UUID) -> set[str | None]:
    """What is kept of what a webhook is, or was, to be told."""
    table = webhook_deliveries.c
    with database._connection() as connection:
        return set(connection.execute(select(table.body).where(table.webhook_id == id)).scalars())


@asynccontextmanager
async def delivering(
    kafka: KafkaSettings, database: Database, **settings: Any
) -> AsyncIterator[Callable[..., Any]]:
    """The worker's part; yields how to publish events."""
    await ensure_topics(kafka)
    values = WebhookSettings.model_validate({**SETTINGS.model_dump(), **settings})
    task = asyncio.create_task(run_webhooks(kafka, database, values))
    try:
        async with Producer(kafka) as producer:
            yield partial(announce, producer, kafka)
            assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_events_arrive_signed_in_order_and_filtered(
    kafka_settings: KafkaSettings, database: Database, receiver: Receiver
) -> None:
    before = added("before it was made")
    mine = webhook(database, receiver.url, ids={"user_id": "alice"})
    webhook(database, receiver.url, project="theirs")
    webhook(database, receiver.url, event_types=["memory_delete"])
    webhook(database, receiver.url, is_active=False)
    async with delivering(kafka_settings, database) as publish:
        events = [added(str(number)) for number in range(30)]
        await publish(before, *events, added("bob's", "bob"), added("nobody's", project="neither"))
        await publish(*events)  # a repeated event has the same id: it is not told again

        async def done() -> bool:
            return len(receiver.got) >= 30

        await eventually(done)
        await publish(added("end"))

        async def ended() -> bool:
            return receiver.texts[-1] == "end"

        await eventually(ended)
    assert receiver.texts == [*(str(number) for number in range(30)), "end"]
    for (headers, body), event in zip(receiver.got, events, strict=False):
        assert headers["Content-Type"] == "application/json"
        assert headers["webhook-id"] == orjson.loads(body)["id"] == str(event.id)
        assert headers["webhook-signature"] == signatures(mine, headers, body)
    log = log_of(database, mine.id)
    assert {(one.status, one.attempts, one.response_status) for one in log} == {(DeliveryStatus.DELIVERED, 1, 204)}
    assert bodies_of(database, mine.id) == {None}


async def test_during_their_grace_time_earlier_secrets_sign_too(
    kafka_settings: KafkaSettings, database: Database, receiver: Receiver
) -> None:
    mine = webhook(database, receiver.url)
    lost, new, newest = new_secret(), new_secret(), new_secret()

    async def posted(number: int) -> tuple[dict[str, str], bytes]:
        async def there() -> bool:
            return len(receiver.got) == number

        await eventually(there)
        return receiver.got[-1]

    async with delivering(kafka_settings, database) as publish:
        # The answer with the new secret may be lost, and it is asked for again: the first one is good still.
        for secret in (lost, new):
            assert database.webhooks.rotate("ours", mine.id, secret, 3600)
        await publish(added("1"))
        headers, body = await posted(1)
        assert headers["webhook-signature"] == signatures(mine, headers, body, new, lost, mine.secret)
        assert database.webhooks.rotate("ours", mine.id, newest, 0)
        await publish(added("2"))
        headers, body = await posted(2)
        assert headers["webhook-signature"] == signatures(mine, headers, body, newest)
    assert database.webhooks.rotate("theirs", mine.id, new, 0) is None
    for _ in range(4):
        rotated = database.webhooks.rotate("ours", mine.id, new_secret(), 3600)
    with pytest.raises(TooManyError):
        database.webhooks.rotate("ours", mine.id, new_secret(), 3600)
    assert rotated is not None
    assert rotated.secrets[-1] == newest
    assert database.webhooks.find("ours", mine.id) == rotated


async def test_a_failure_holds_up_its_own_scope_only_and_is_tried_again(
    kafka_settings: KafkaSettings, database: Database, receiver: Receiver
) -> None:
    mine = webhook(database, receiver.url)
    wrong = [500, 302, 404, 429]
    waiting: list[int] = []

    def status(text: str) -> int:
        """The first of one scope fails until all of the other one has come, and four times more."""
        if text == "a1" and "b2" not in receiver.texts:
            waiting.append(503)
            return waiting[-1]
        return wrong.pop() if text == "a1" and wrong else 200

    receiver.status = status
    async with delivering(kafka_settings, database) as publish:

        async def failing() -> bool:
            return len(waiting) >= 3

        async def done() -> bool:
            return receiver.texts[-1:] == ["a2"]

        await publish(added("a1", "a"), added("a2", "a"))
        await eventually(failing)
        await publish(added("b1", "b"), added("b2", "b"))
        await eventually(done)
    texts = receiver.texts
    attempts = len(waiting) + 5
    assert [text for text in texts if text[0] == "a"] == ["a1"] * attempts + ["a2"]
    assert [text for text in texts if text[0] == "b"] == ["b1", "b2"]
    assert len({headers["webhook-id"] for headers, body in receiver.got if text_of(body) == "a1"}) == 1
    first = max(log_of(database, mine.id), key=lambda one: one.attempts)
    assert (first.attempts, first.status, first.error) == (attempts, DeliveryStatus.DELIVERED, None)
    state = database.webhooks.find("ours", mine.id)
    assert state is not None
    assert state.failing_since is None


async def test_one_that_is_down_does_not_hold_up_another(
    kafka_settings: KafkaSettings, database: Database, receiver: Receiver
) -> None:
    down = webhook(database, f"http://{NOWHERE}/")
    webhook(database, receiver.url)
    async with delivering(kafka_settings, database, parallel=2) as publish:
        await publish(*(added(str(number), f"user{number}") for number in range(20)))

        async def done() -> bool:
            return len(receiver.got) == 20

        async def tried() -> bool:
            return any("no connection" in (one.error or "") for one in log_of(database, down.id))

        await eventually(done)
        await eventually(tried)
        log = log_of(database, down.id)
    assert [one.status for one in log] == [DeliveryStatus.PENDING] * 20


async def test_what_fails_for_too_long_is_disabled_until_it_is_made_active(
    kafka_settings: KafkaSettings, database: Database, receiver: Receiver
) -> None:
    receiver.status = lambda _: 500
    mine = webhook(database, receiver.url)

    def state() -> Webhook:
        found = database.webhooks.find("ours", mine.id)
        assert found is not None
        return found

    async def disabled() -> bool:
        return not state().is_active

    async with delivering(kafka_settings, database, disable_h=1 / 3600) as publish:
        await publish(added("1"), added("2"))
        await eventually(disabled)
        assert "the receiver answered 500" in (state().disabled_reason or "")
        tried = len(receiver.got)
        receiver.status = lambda _: 200
        # Another one is told of what comes now: so it was read, and queued for whom it is.
        webhook(database, receiver.url)
        await publish(added("not for mine"))

        async def told() -> bool:
            return receiver.texts[tried:] == ["not for mine"]

        await eventually(told)
        assert len(log_of(database, mine.id)) == 2
        assert database.webhooks.change("ours", mine.id, {"is_active": True})

        async def done() -> bool:
            return receiver.texts[tried + 1 :] == ["1", "2"]

        await eventually(done)
    assert state().disabled_reason is None


async def test_one_that_is_gone_is_disabled_at_once(
    kafka_settings: KafkaSettings, database: Database, receiver: Receiver
) -> None:
    receiver.status = lambda _: 410
    mine = webhook(database, receiver.url)
    async with delivering(kafka_settings, database) as publish:
        await publish(added("1"))

        async def disabled() -> bool:
            found = database.webhooks.find("ours", mine.id)
            return found is not None and not found.is_active

        await eventually(disabled)
    assert len(receiver.got) == 1


async def test_a_private_address_is_refused_also_behind_a_name(
    kafka_settings: KafkaSettings, database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = receiver.url.rsplit(":", 1)[1].split("/")[0]
    urls = {
        # A name, which our resolver sends to us, is like one that nobody knows.
        f"https://localhost.localdomain:{port}/": "no public address was found",
        f"https://nobody.invalid:{port}/": "no public address was found",
        # One with an address of each kind, and neither public.
        f"https://both.internal:{port}/": "no public address was found",
        f"https://127.1:{port}/": "",
        f"https://2130706433:{port}/": "",
        f"https://127.0.0.1:{port}/": "private",
        receiver.url: "must be a URL that begins with https://",
    }
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def to_us(host: str, *arguments: Any, **more: Any) -> Any:
        if host == "both.internal":
            tcp = (SOCK_STREAM, IPPROTO_TCP, "")
            return [(AF_INET, *tcp, ("10.1.2.3", port)), (AF_INET6, *tcp, ("fd00::1", port, 0, 0))]
        return await resolve("127.0.0.1" if host == "localhost.localdomain" else host, *arguments, **more)

    monkeypatch.setattr(loop, "getaddrinfo", to_us)
    hooks = [webhook(database, url) for url in urls]
    async with delivering(kafka_settings, database, allow_private=False) as publish:
        await publish(added("a secret"))

        async def tried() -> bool:
            return all(log and log[0].error for log in (log_of(database, hook.id) for hook in hooks))

        await eventually(tried)
    for hook, expected in zip(hooks, urls.values(), strict=True):
        error = log_of(database, hook.id)[0].error or ""
        assert expected in error, hook.url
        assert not {"127.0.0.1", "10.1.2.3", "fd00::1"} & set(re.split(r"[^0-9a-f.:]", error))
    assert receiver.got == []


def test_the_queue_gives_each_delivery_to_one_worker_in_order(database: Database) -> None:
    mine = webhook(database, "https://example.com")
    queue = database.webhook_queue
    rows = [Queued(mine.id, "ours", f"e{n}", "t", f"k{n % 2}", "{}") for n in range(6)]
    queue.put(rows)
    queue.put(rows)
    [(_, first)] = queue.claim(10, 10, [], 60)
    assert [one.event_id for one in first] == ["e0", "e1"]
    assert queue.claim(10, 10, [], 60) == []
    queue.settle(mine.id, [], lambda _: 0)
    assert queue.claim(10, 10, [mine.id], 60) == []


def test_many_webhooks_of_one_project_do_not_hold_up_anothers(database: Database) -> None:
    queue, each, most = database.webhook_queue, 4, 32
    theirs = [webhook(database, "https://example.com", "theirs") for _ in range(20)]
    for one in theirs:
        queue.put([Queued(one.id, "theirs", f"{one.id}/{n}", "t", f"k{n}", "{}") for n in range(20)])
    busy = queue.claim(most, each, [], 60)
    assert len(busy) == most // each
    mine = webhook(database, "https://example.com", "ours")
    queue.put([Queued(mine.id, "ours", "e", "t", "k", "{}")])
    told, deliveries = busy.pop()
    queue.settle(told.id, [Attempt(one.id, 200, None) for one in deliveries], lambda _: 0)
    # As much as has become free is not all theirs.
    claimed = queue.claim(each, each, [one.id for one, _ in busy], 60)
    assert mine.id in {one.id for one, _ in claimed}
    assert sum(len(found) for _, found in claimed) == each


def test_the_log_is_pruned_and_what_is_too_late_given_up(database: Database) -> None:
    mine = webhook(database, "https://example.com")
    queue = database.webhook_queue
    queue.put([Queued(mine.id, "ours", "e", "t", "k", "{}")])
    assert queue.prune(give_up_s=60, keep_s=60) == 0
    assert queue.prune(give_up_s=0, keep_s=60) == 1
    [given_up] = log_of(database, mine.id)
    assert (given_up.status, given_up.error) == (DeliveryStatus.FAILED, "it waited too long")
    assert bodies_of(database, mine.id) == {None}
    assert queue.prune(give_up_s=0, keep_s=0) == 1
    assert log_of(database, mine.id) == []


@pytest.mark.parametrize("arrives", [True, False])
def test_what_is_given_up_while_it_is_on_its_way_ends_as_it_went(database: Database, arrives: bool) -> None:
    mine = webhook(database, "https://example.com")
    queue = database.webhook_queue
    queue.put([Queued(mine.id, "ours", "e", "t", "k", "{}")])
    [(_, [delivery])] = queue.claim(1, 1, [], 60)
    assert queue.prune(give_up_s=0, keep_s=60) == 1
    answer = Attempt(delivery.id, 204, None) if arrives else Attempt(delivery.id, 500, "the receiver answered 500")
    queue.settle(mine.id, [answer], lambda _: 0)
    [line] = log_of(database, mine.id)
    ended = (
        (DeliveryStatus.DELIVERED, 204, None) if arrives else (DeliveryStatus.FAILED, None, "it waited too long")
    )
    assert (line.status, line.response_status, line.error) == ended
    assert bodies_of(database, mine.id) == {None}
    assert queue.claim(1, 1, [], 60) == []


@pytest.mark.timeout(200)
async def test_a_worker_delivers(system: System, receiver: Receiver) -> None:
    database = Database(system.postgres)
    webhook(database, receiver.url, project="default")
    database.close()
    worker = system.start_worker({"webhooks.allow_private": "true"})
    async with Producer(system.kafka) as producer:
        value = orjson.dumps({"request_id": "r1", "op": "add", "user_id": "alice", "text": "likes tea"})
        sent = await producer.send(system.topics.requests, key=b"default/user:alice", value=value)
        await acknowledged([sent])

    async def done() -> bool:
        assert worker.code is None, worker.tail()
        return bool(receiver.got)

    await eventually(done, 90)
    assert receiver.texts == ["likes tea"]
    assert await worker.stop() == 0


@pytest.mark.timeout(200)
async def test_a_delivery_is_repeated_as_the_history_has_it(
    system: System, receiver: Receiver, embedder: Embedder
) -> None:
    async with doors(system.postgres, embedder) as [door], Producer(system.kafka) as producer:
        mine = webhook(door.database, receiver.url, project="default")
        token = door.database.create_api_key("default", "test")
        path = f"/api/v1/webhooks/{mine.id}/deliveries/"
        worker = system.start_worker({"webhooks.allow_private": "true", "webhooks.retry_first_s": "0.2"})

        async def delivered(number: int) -> list[Any]:
            """The log, latest first, when it has so many deliveries and all have arrived."""
            log: list[Any] = []

            async def all_arrived() -> bool:
                assert worker.code is None, worker.tail()
                log[:] = (await door.answer("GET", path, token))[1]["results"]
                return [one["status"] for one in log] == ["delivered"] * number

            await eventually(all_arrived, 90)
            return log

        async def redeliver() -> tuple[int, Any]:
            return await door.answer("POST", f"{path}{first['id']}/redeliver/", token)

        value = orjson.dumps({"request_id": "r1", "op": "add", "user_id": "alice", "text": "likes tea"})
        sent = await producer.send(system.topics.requests, key=b"default/user:alice", value=value)
        await acknowledged([sent])
        [first] = await delivered(1)
        status, again = await redeliver()
        assert (status, again["event_id"], again["redelivery"]) == (202, first["event_id"], 1)
        assert again["id"] > first["id"]
        await delivered(2)
        (one, body), (other, repeated) = receiver.got
        assert (one["webhook-id"], body) == (other["webhook-id"], repeated)

        # One that is on its way is not queued twice.
        receiver.status = lambda _: 500
        assert (await redeliver())[0] == 202
        status, problem = await redeliver()
        assert (status, problem["code"]) == (409, "delivery_pending")
        receiver.status = lambda _: 204
        assert [one["redelivery"] for one in await delivered(3)] == [2, 1, 0]
        assert await worker.stop() == 0
