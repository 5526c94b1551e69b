"""``agentmem forget``: what is left of a person, also of one who is forgotten while requests are on their way."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg2
import psycopg2.extensions
import pytest

from agentmem.exit_codes import ExitCode
from agents.maintenance.replay import Wanted, replay
from agents.stages.announce import AnnounceStage
from infra.postgres import Database
from infra.postgres.forgetting import CHUNK
from infra.weaviate.connection import make_client
from infra.webhooks import new_secret
from infra.webhooks.payload import payload
from schemas.events import Event
from schemas.identity import memory_id
from schemas.inbound import decode_event
from schemas.redaction import REDACTED
from schemas.requests import MemoryRequest
from schemas.scope import Scope
from streams.producer import Producer
from tests.acceptance.command import Agentmem
from tests.harness.databases import lock_waits
from tests.harness.kafka import Message, caught_up, publish, read_topic
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.webhooks import delivered
from tests.harness.workload import message

WITHIN_S = 180
DIMENSION = 384
SECRET = "zebra-in-pyjamas"


@pytest.fixture
def partitions() -> int:
    return 4


@pytest.fixture
def agentmem(system: System) -> Agentmem:
    return Agentmem(system.folder, system.environment())


@pytest.fixture
def database(system: System) -> Iterator[Database]:
    with closing(Database(system.postgres)) as opened:
        yield opened


def request(request_id: str, op: str = "add", **fields: Any) -> dict[str, Any]:
    return {"request_id": request_id, "op": op, "user_id": "alice", **fields}


def vector() -> list[float]:
    return [0.25] * DIMENSION


@contextmanager
def connected(system: System) -> Iterator[psycopg2.extensions.cursor]:
    """A transaction of its own, which is rolled back."""
    with closing(psycopg2.connect(system.postgres.dsn.get_secret_value())) as connection:
        yield connection.cursor()


def dump(system: System) -> str:
    """Every row of every table, as text."""
    with connected(system) as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT one::text FROM "{table}" AS one')
            rows += [f"{table}: {row}" for (row,) in cursor.fetchall()]
        return "\n".join(rows)


def vectors(system: System, user: str) -> int:
    """How many rows of the user have a vector, read past our own code."""
    with connected(system) as cursor:
        cursor.execute("SELECT count(*) FROM memories WHERE user_id = %s AND vector IS NOT NULL", [user])
        [(count,)] = cursor.fetchall()
        return int(count)


async def objects(system: System) -> dict[UUID, bool]:
    """All that Weaviate's own client finds in the collection, and whether it has a vector."""
    async with make_client(system.weaviate) as client:
        iterator = client.collections.use(system.weaviate.collection).iterator(include_vector=True)
        return {UUID(str(one.uuid)): bool(one.vector) async for one in iterator}


def pending_bodies(system: System) -> list[dict[str, Any]]:
    with connected(system) as cursor:
        cursor.execute("SELECT body FROM webhook_deliveries WHERE status = 'pending' ORDER BY id")
        return [json.loads(body) for (body,) in cursor.fetchall()]


async def send(system: System, *requests: dict[str, Any]) -> None:
    await publish(system, map(message, requests))
    await caught_up(system, WITHIN_S)


async def test_nothing_of_a_person_is_left(system: System, agentmem: Agentmem, database: Database) -> None:
    system.start_worker({"worker.republish_after_s": "1"})
    # Nobody listens there: what it is to be told waits in its queue.
    database.webhooks.create(
        "default",
        name="w",
        url="https://127.0.0.1:9/",
        event_types=["memory_add", "memory_update", "memory_delete", "failed"],
        secret=new_secret(),
        ids={},
    )
    kept, gone = memory_id("default", "bob", 0), memory_id("default", "first", 0)
    spoken = {"role": SECRET, "name": SECRET, "content": f"a {SECRET}"}
    first = request("first", messages=[spoken, spoken], metadata={SECRET: SECRET}, run_id="r")
    await send(
        system,
        first,
        request("vector", text=SECRET, vector=vector()),
        request("agent", text=SECRET, agent_id="x", vector=vector()),
        request("bob", user_id="bob", text="bob likes tea", vector=vector()),
        request("short", text=SECRET, vector=[0.5]),
    )
    await send(
        system,
        {
            "request_id": "u1",
            "op": "update",
            "memory_id": str(gone),
            "text": f"{SECRET} 2",
            "metadata": {"a": SECRET},
        },
        {"request_id": "u2", "op": "update", "memory_id": str(gone), "text": f"{SECRET} 3"},
        {"request_id": "stale", "op": "update", "memory_id": str(gone), "text": SECRET, "expected_version": 9},
        # It does not say whose memory it is.
        {"request_id": "nobody", "op": "update", "memory_id": str(gone), "text": SECRET, "vector": [0.5]},
        request("d", "delete", memory_id=str(memory_id("default", "vector", 0))),
    )
    database.projects.give_feedback("default", gone, "NEGATIVE", SECRET)
    database.projects.give_feedback("default", kept, "POSITIVE", "good")
    # A gateway has accepted this one and died before it published it.
    database.accept(MemoryRequest.model_validate(request("lost", text=SECRET)))
    assert dump(system).count(SECRET) > 20

    async def everywhere() -> bool:
        return all(database.forgetting.remaining(Scope("default", "alice")).values())

    await eventually(everywhere, WITHIN_S, "the webhooks' queue holds it too", system.logs)
    assert vectors(system, "alice") > 0
    theirs = {memory_id("default", "agent", 0), gone}
    assert dict.fromkeys(theirs, True).items() <= (await objects(system)).items()
    planned = json.loads(agentmem("forget", "--user", "alice", "--dry-run", "--json").out)
    assert all(planned["rows"].values()), planned
    assert agentmem("forget", "--user", "alice").code == ExitCode.USAGE
    done = agentmem("forget", "--user", "alice", "--yes", "--json")
    assert done.code == ExitCode.OK, done.err + system.logs()
    report = json.loads(done.out)
    assert report["rows"]["deleted"] == 4
    assert set(report["kafka"]) == {system.topics.requests, system.topics.events, system.topics.dead_letters}
    assert all(report["kafka"].values())

    assert SECRET not in dump(system)
    assert (vectors(system, "alice"), vectors(system, "bob")) == (0, 1)
    assert await objects(system) == {kept: True}
    bodies = pending_bodies(system)
    assert SECRET not in json.dumps(bodies)
    assert "agentmem.memory.deleted" in {body["type"] for body in bodies}
    seen = await observe(system)
    assert seen.points.keys() == {kept}
    assert seen.rows[kept].text == "bob likes tea"
    assert "good" in dump(system)
    assert {entry.memory.text for id, entries in seen.history.items() if id != kept for entry in entries} == {
        REDACTED
    }
    [start, entry] = database.audit.of(["forget/default"])
    assert (start.action, start.detail) == ("forget.start", {"scope": {"user_id": "alice"}})
    assert (entry.action, entry.detail["scope"], entry.detail["deleted"]) == ("forget", {"user_id": "alice"}, 4)

    # The same requests again store nothing; their events have their ids of before, and no contents.
    before = {event.header("ce_id"): event for event in seen.events}
    await send(system, first, request("d", "delete", memory_id=str(memory_id("default", "vector", 0))))
    again = [
        event
        for event in await read_topic(system, system.topics.events)
        if (event.partition, event.offset) not in {(one.partition, one.offset) for one in seen.events}
    ]
    assert len(again) == 3
    for event in again:
        assert SECRET.encode() not in (event.value or b"")
        assert SECRET.encode() in (before[event.header("ce_id")].value or b"")
    assert SECRET not in dump(system)
    assert (await observe(system)).points.keys() == {kept}

    # Nor does a dead letter bring it back.
    listed = [json.loads(line) for line in agentmem("dlq", "list", "--json").out.splitlines()]
    letters = [one["id"] for one in listed if one["request_id"] in {"short", "nobody"}]
    assert len(letters) == 2
    for letter in letters:
        refused = agentmem("dlq", "replay", letter, "--patch", '{"vector": null}')
        assert (refused.code, "forgotten" in refused.out) == (ExitCode.FAILED, True)
    # And again is as well.
    repeated = agentmem("forget", "--user", "alice", "--yes", "--json")
    assert not any(json.loads(repeated.out)["rows"].values())


async def test_what_is_still_in_the_log_is_forgotten_too(system: System, agentmem: Agentmem) -> None:
    """The agent's memories are keyed by their users: they lie in all partitions, before and after its delete."""
    texts = [
        request(
            f"r{number}", user_id=f"user-{number % 9}", agent_id="x", text=f"{SECRET} {number}", vector=vector()
        )
        for number in range(900)
    ]
    await publish(system, map(message, texts))
    with agentmem.running("forget", "--agent", "x", "--yes") as forgetting:
        system.start_worker()

        async def ended() -> bool:
            return forgetting.process.poll() is not None

        await eventually(ended, WITHIN_S, "it has forgotten", system.logs)
        assert forgetting.process.returncode == ExitCode.OK, forgetting.lines
    assert SECRET not in dump(system)
    seen = await observe(system)
    assert (len(seen.rows), seen.points) == (900, {})


async def test_killed_on_the_way_it_is_finished_by_the_next(
    system: System, agentmem: Agentmem, database: Database
) -> None:
    system.start_worker()
    count, scope, dsn = 2_500, Scope("default", "alice"), system.postgres.dsn.get_secret_value()
    vectors = [vector() for _ in range(count)]
    await send(system, *(request(f"r{n}", text=f"{SECRET} {n}", vector=one) for n, one in enumerate(vectors)))
    await send(system, request("short", text=SECRET, vector=[0.5]))
    # Whoever holds a row of the history holds up its redaction.
    with agentmem.running("forget", "--user", "alice", "--yes") as forgetting, connected(system) as holder:
        holder.execute("SELECT FROM memory_history ORDER BY memory_id DESC LIMIT 1 FOR UPDATE")

        async def redacting() -> bool:
            assert forgetting.process.poll() is None, forgetting.lines
            return not database.forgetting.live(scope) and "transactionid" in lock_waits(dsn)

        await eventually(redacting, WITHIN_S, "it is in the middle of redacting", system.logs)
        forgetting.process.send_signal(signal.SIGKILL)
        forgetting.process.wait()
    assert dump(system).count(REDACTED) > CHUNK
    assert SECRET in dump(system)
    assert [entry.action for entry in database.audit.of(["forget/default"])] == ["forget.start"]
    [letter] = map(json.loads, agentmem("dlq", "list", "--json").out.splitlines())
    refused = agentmem("dlq", "replay", letter["id"], "--patch", '{"vector": null}')
    assert (refused.code, "forgotten" in refused.out) == (ExitCode.FAILED, True)
    done = agentmem("forget", "--user", "alice", "--yes", "--json")
    assert done.code == ExitCode.OK, done.err
    assert SECRET not in dump(system)
    assert (await observe(system)).points == {}
    actions = [entry.action for entry in database.audit.of(["forget/default"])]
    assert actions == ["forget.start", "forget.start", "forget"]


async def test_a_delivery_that_is_repeated_meanwhile_brings_nothing_back(
    system: System, database: Database
) -> None:
    scope, memory, dsn = (
        Scope("default", "alice"),
        memory_id("default", "r1", 0),
        system.postgres.dsn.get_secret_value(),
    )
    worker = system.start_worker()
    await send(system, request("r1", text=SECRET), request("d", "delete", memory_id=str(memory)))
    assert await worker.stop() == ExitCode.OK  # it would deliver, too
    _, delivery = delivered(database, "default", "r1")

    with ThreadPoolExecutor(1) as pool:
        redactions: list[Future[dict[str, int]]] = []

        def body(event: Event) -> str:
            """The history was read; now the person is forgotten, as far as that comes."""
            database.forgetting.redact("default", [memory])
            redactions.append(pool.submit(database.forgetting.redact_requests, scope))
            deadline = monotonic() + WITHIN_S
            while not redactions[0].done() and "advisory" not in lock_waits(dsn):
                assert monotonic() < deadline
            return payload(decode_event(event.key.encode(), event.body, event.headers()))

        assert database.webhook_log.redeliver(delivery, "default", body) is not None
        redactions[0].result(WITHIN_S)
    assert SECRET not in dump(system)
    [told] = pending_bodies(system)
    assert told["data"]["memory"]["text"] == REDACTED


async def test_events_that_are_told_again_meanwhile_are_told_before_it_ends(
    system: System, database: Database
) -> None:
    """So Kafka does not keep them for longer than the forget says."""
    scope, memory = Scope("default", "alice"), memory_id("default", "r1", 0)
    dsn = system.postgres.dsn.get_secret_value()
    worker = system.start_worker()
    await send(system, request("r1", text=SECRET))
    await send(system, request("d", "delete", memory_id=str(memory)))
    assert await worker.stop() == ExitCode.OK
    redactions: list[Future[dict[str, int]]] = []
    ended_before: list[bool] = []

    class Announcing(AnnounceStage):
        async def send(self, events: Iterable[tuple[Event, str | None]]) -> None:
            """The history was read; now the person is forgotten, as far as that comes."""
            if not redactions:
                database.forgetting.redact("default", [memory])
                redactions.append(pool.submit(database.forgetting.redact_requests, scope))
                deadline = monotonic() + WITHIN_S
                while not redactions[0].done() and "advisory" not in lock_waits(dsn):
                    assert monotonic() < deadline
            await super().send(events)
            ended_before.append(redactions[0].done())

    with ThreadPoolExecutor(1) as pool:
        async with Producer(system.kafka) as producer:
            wanted = Wanted(scope, None, database.now())
            await replay(database, Announcing(producer, system.topics), wanted, lambda _: None)
        redactions[0].result(WITHIN_S)
    assert ended_before[0] is False
    told = await read_topic(system, system.topics.events)
    assert [SECRET.encode() in (event.value or b"") for event in told].count(True) == 3
    assert SECRET not in dump(system)


def test_without_a_worker_it_says_so(system: System, agentmem: Agentmem) -> None:
    asyncio.run(publish(system, [Message(b"k", orjson.dumps(request(str(uuid4()), text="x")))]))
    done = agentmem("forget", "--user", "alice", "--yes", "--timeout", "1")
    assert done.code == ExitCode.UNAVAILABLE
    assert "is a worker running?" in done.err
    assert agentmem("forget", "--yes").code == ExitCode.USAGE
