"""Gateways that die while callers wait for them and subscribers listen."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import aiohttp
import psycopg2
import pytest
from aiohttp.test_utils import unused_port

from schemas.events import EventBody
from schemas.history import RequestStatus
from streams.topics import ensure_topics
from tests.harness.case import Case, stop_cleanly
from tests.harness.gateways import Gateway, broken_off
from tests.harness.kafka import caught_up, offsets, read_topic, remove_topic
from tests.harness.load import under_load
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.integration.feeds_world import Stream, Streamed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

_PATIENT = {"AGENTMEM_GATEWAY_WAIT_TIMEOUT_S": "100", "AGENTMEM_GATEWAY_PUBLISH_TIMEOUT_S": "60"}


@pytest.mark.case("gateway-killed")
async def test_a_gateway_dies_while_callers_wait(system: System, case: Case) -> None:
    """Before it could publish, and after. A retry with the same key has one effect; what is not retried, too."""
    number = case.scaled(100, 20)
    gateway = Gateway(system, unused_port(), **_PATIENT)
    for kind in ("accepted", "published"):
        await gateway.start()
        if kind == "accepted":
            await remove_topic(system, system.topics.requests)
        calls = [asyncio.create_task(_add(gateway, f"{kind}-{n}")) for n in range(number)]
        if kind == "accepted":
            await _accepted(system, number)
        else:
            await _published(system, number)
        gateway.process.kill()
        await broken_off(calls)
        await ensure_topics(system.kafka)
    assert await _count(system) == number, "what could not be published was published: the case shows nothing"

    async def done() -> bool:
        outcomes = (await observe(system)).outcomes.values()
        return [outcome.status for outcome in outcomes] == [RequestStatus.SUCCEEDED] * 2 * number

    with case.recovering():
        await gateway.start()
        worker = system.start_worker({"worker.republish_after_s": "3"})
        retried = [f"{kind}-{n}" for kind in ("accepted", "published") for n in range(0, number, 2)]
        answers = await asyncio.gather(*(_add(gateway, name) for name in retried))
        assert all(len(answer["results"]) == 1 for answer in answers)
        await eventually(done, 120, "what was accepted is applied", system.logs)
    await case.judge(system)
    texts = sorted(row.text for row in (await observe(system)).rows.values())
    assert texts == sorted(f"{kind}-{n}" for kind in ("accepted", "published") for n in range(number))
    await stop_cleanly(worker, gateway.process)


@pytest.mark.case("subscriber-drops")
async def test_a_subscriber_drops_and_resumes(system: System, case: Case) -> None:
    """Again and again, while gateways die: it sees every event, in order within each scope."""
    gateway = Gateway(system, unused_port())
    await gateway.start()
    worker = system.start_worker()
    seen: list[Streamed] = []
    subscriber = asyncio.create_task(_subscribe(gateway, seen, case))
    async with under_load(system, list(case.work().messages(case.scaled(6_000, 800))), case.scaled(40, 10)):
        for _ in range(case.scaled(3, 1)):
            await asyncio.sleep(case.random.uniform(2, 5))
            gateway.process.kill()
            with case.recovering():
                await gateway.start()
    await caught_up(system, 120)
    told = await read_topic(system, system.topics.events)
    wanted: dict[bytes | None, dict[str | None, None]] = {}
    for record in told:
        if EventBody.model_validate_json(record.value or b"").project != "default":
            continue  # another's, of which this subscriber hears nothing
        wanted.setdefault(record.key, {})[record.header("ce_id")] = None
    ids = {id for scope in wanted.values() for id in scope}

    async def complete() -> bool:
        if subscriber.done():
            subscriber.result()
        return ids <= {message.data["id"] for message in seen}

    await eventually(complete, 120, "every event was seen", system.logs)
    subscriber.cancel()
    order = list(dict.fromkeys(message.data["id"] for message in seen))
    place = {id: number for number, id in enumerate(order)}
    for scope in wanted.values():
        places = [place[str(id)] for id in scope]
        assert places == sorted(places)
    assert set(order) == ids
    await case.judge(system)
    await stop_cleanly(worker, gateway.process)


async def _subscribe(gateway: Gateway, seen: list[Streamed], case: Case) -> None:
    cursor = "beginning"
    async with aiohttp.ClientSession(gateway.url, headers=gateway.headers) as session:
        while True:
            leaves_after = case.random.randrange(1, 200)
            try:
                async with session.get("/v1/events/stream", params={"from": cursor}) as response:
                    if response.status == 503:  # not positioned yet
                        await asyncio.sleep(0.2)
                        continue
                    assert response.status == 200, await response.text()
                    stream = Stream(response)
                    for _ in range(leaves_after):
                        message = await stream.next()
                        cursor = message.id
                        if message.event.startswith("agentmem.stream"):
                            break
                        seen.append(message)
            except (aiohttp.ClientError, EOFError, TimeoutError):
                await asyncio.sleep(0.2)


async def _add(gateway: Gateway, name: str) -> Any:
    body = {"messages": name, "user_id": f"user-{name[-1]}", "infer": False}
    return await gateway.post("/v3/memories/add/", body, **{"Idempotency-Key": name})


async def _accepted(system: System, number: int) -> None:
    async def there() -> bool:
        dsn = system.postgres.dsn.get_secret_value()
        with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM requests")
            return bool(cursor.fetchall() == [(number,)])

    await eventually(there, 120, f"{number} requests are accepted", system.logs)


async def _published(system: System, number: int) -> None:
    async def there() -> bool:
        return await _count(system) == number

    await eventually(there, 120, f"{number} requests are published", system.logs)


async def _count(system: System) -> int:
    return sum((await offsets(system)).ends.values())
