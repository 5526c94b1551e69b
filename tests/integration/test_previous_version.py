"""The version before the newest migration works on the schema after it: its own code, beside today's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agentmem.exit_codes import ExitCode
from infra.onnx import Embedder
from infra.postgres import Database
from infra.postgres.migrate import downgrade, status, upgrade
from infra.webhooks import new_secret
from schemas.events import EventType
from schemas.webhooks import Delivery, DeliveryStatus, Webhook
from tests.harness.kafka import caught_up, has_members, publish, read_topic
from tests.harness.oracle import assert_consistent
from tests.harness.past import before_the_newest_migration
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workload import Workload, seed

pytestmark = pytest.mark.timeout(600)

WITHIN_S = 120
#: What every version refuses.
POISON = ("null", "not-json", "unknown-field", "newer", "invalid_vector")


@dataclass
class Receiver:
    """A webhook's server: what it was told, by the event's id."""

    url: str = ""
    told: dict[str, Any] = field(default_factory=dict)

    async def receive(self, request: web.Request) -> web.Response:
        self.told[request.headers["webhook-id"]] = await request.json()
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.receive)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver


@pytest.fixture
def previous(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a process of the version before: Python finds its code before what is installed."""
    return {"PYTHONPATH": str(before_the_newest_migration(tmp_path / "previous"))}


@pytest.fixture
def database(system: System) -> Iterator[Database]:
    with closing(Database(system.postgres)) as opened:
        yield opened


async def work_on(system: System, work: Workload) -> None:
    """Publish requests of all kinds, and wait until all of them are done."""
    await publish(system, [*work.messages(150), *map(work.poisonous, POISON), *work.messages(50)])
    await caught_up(system, WITHIN_S)


async def additions(system: System) -> set[str]:
    """The ids of all events that tell of a new memory in the webhook's project."""
    mine = [
        event
        for event in await read_topic(system, system.topics.events)
        if event.header("ce_type") == EventType.ADDED and (event.key or b"").startswith(b"default/")
    ]
    return {event.header("ce_id") or "" for event in mine}


def log_of(database: Database, webhook: Webhook) -> list[Delivery]:
    return database.webhook_log.deliveries(webhook.project, webhook.id, 10_000, 0)[1]


async def delivered(database: Database, webhook: Webhook, events: list[str]) -> None:
    """Wait until the webhook was told of these events; its log has nothing else, and nothing twice."""

    async def done() -> bool:
        log = [one for one in log_of(database, webhook) if one.status is DeliveryStatus.DELIVERED]
        return len(log) >= len(events)

    await eventually(done, WITHIN_S, f"{len(events)} events are delivered")
    assert sorted(one.event_id for one in log_of(database, webhook)) == sorted(events)


async def test_the_version_before_works_on_the_schema_after(
    system: System, previous: Mapping[str, str], embedder: Embedder, database: Database, receiver: Receiver
) -> None:
    """As docs/upgrade.md has it: migrated while it runs, started anew, beside today's, and alone again."""
    local = {"AGENTMEM_WEBHOOKS_ALLOW_PRIVATE": "true"}
    work = Workload(Random(seed()), embedder.identity.dimension)
    *_, before, newest = status(system.postgres).applied
    downgrade(system.postgres, before)
    old = system.start_worker(environment={**previous, **local})
    await work_on(system, work)

    assert upgrade(system.postgres) == [newest]
    earlier = await additions(system)
    webhook = database.webhooks.create(
        "default", name="w", url=receiver.url, event_types=["memory_add"], secret=new_secret(), ids={}
    )
    await work_on(system, work)

    assert await old.stop() == ExitCode.OK
    old, new = system.start_worker(environment={**previous, **local}), system.start_worker(environment=local)
    shown = system.start("status", "migrate", "status", "--json", environment=previous)
    assert await shown.ended(WITHIN_S) == ExitCode.OK
    assert json.loads(shown.text())["newer"], "this is not the version before"
    await has_members(system, 2)
    await work_on(system, work)

    assert await new.stop() == ExitCode.OK
    await work_on(system, work)
    await assert_consistent(system, embedder)
    events = [*(await additions(system) - earlier)]
    await delivered(database, webhook, events)
    again = sent_again(database, log_of(database, webhook)[0], receiver)
    await delivered(database, webhook, [*events, again.event_id])
    assert receiver.told.keys() == set(events)
    assert await old.stop() == ExitCode.OK


def sent_again(database: Database, delivery: Delivery, receiver: Receiver) -> Delivery:
    """Queue it again as a gateway of today does for what a worker of today has queued."""
    told = receiver.told[delivery.event_id]["data"]
    known = replace(delivery, request_id=told["request_id"], request_index=told["index"])
    again = database.webhook_log.redeliver(known, "default", lambda _: "{}")
    assert again is not None
    return again
