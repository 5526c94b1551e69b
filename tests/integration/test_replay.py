"""Replays: the same events once more, and requests read once more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

from agentmem.exit_codes import ExitCode
from infra.onnx import Embedder
from tests.acceptance.command import Agentmem, Result
from tests.harness.kafka import Message, caught_up, committed, has_members, lag, publish, read_topic
from tests.harness.oracle import assert_consistent
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workload import Workload, message, seed

_WITHIN_S = 120


async def call(system: System, *arguments: str) -> Result:
    return await asyncio.to_thread(Agentmem(system.folder, system.environment()), *arguments)


async def test_events_are_told_again_and_requests_read_again(system: System, embedder: Embedder) -> None:
    work = Workload(Random(seed()), embedder.identity.dimension, poison=0.01)
    await publish(system, work.messages(1_500))
    everything: dict[str, Any] = {"request_id": "all", "op": "delete_all", "project": "large", "user_id": "u"}
    large = [
        message(
            {"request_id": f"l{n}", "op": "add", "project": "large", "user_id": "u", "text": f"number {n % 5}"}
        )
        for n in range(700)
    ]
    await publish(system, [*large, message(everything)])
    worker = system.start_worker({"window.max_records": "500"})
    await caught_up(system, _WITHIN_S)
    before = await read_topic(system, system.topics.events)
    first = {record.header("ce_id"): record for record in before}

    counted = await call(system, "replay", "events", "--dry-run", "--json")
    assert orjson.loads(counted.out) == {"sent": 0, "found": len(first)}
    assert len(await read_topic(system, system.topics.events)) == len(before)

    told = await call(system, "replay", "events", "--json")
    assert orjson.loads(told.out) == {"sent": len(first), "found": len(first)}
    after = await read_topic(system, system.topics.events)
    ends = {
        partition: max((r.offset for r in before if r.partition == partition), default=-1)
        for partition in range(6)
    }
    again = [record for record in after if record.offset > ends[record.partition]]
    assert len(again) == len(first)
    versions: dict[str, int] = {}
    for record in again:
        known = first[record.header("ce_id")]
        assert (record.key, record.value, record.headers) == (known.key, known.value, known.headers)
        body = orjson.loads(record.value or b"")
        if "version" in body:
            memory = body["memory"]["id"]
            assert body["version"] == versions.get(memory, 0) + 1, "out of order"
            versions[memory] = body["version"]

    one = await call(system, "replay", "events", "--project", "large", "--user", "u", "--dry-run", "--json")
    assert orjson.loads(one.out)["found"] == 1_400
    late = await call(system, "replay", "events", "--from", "2100-01-01", "--dry-run", "--json")
    assert orjson.loads(late.out)["found"] == 0

    refused = await call(system, "replay", "requests")
    assert (refused.code, "stop all workers" in refused.err) == (ExitCode.MISCONFIGURED, True)
    assert await worker.stop() == ExitCode.OK
    await has_members(system, 0)
    planned = await call(system, "replay", "requests", "--dry-run", "--json")
    assert sum(one["requests"] for one in orjson.loads(planned.out)["partitions"]) == 2_201
    assert await lag(system) == 0
    partial = await call(system, "replay", "requests", "--offset", "2", "3")
    assert (partial.code, (await committed(system))[2]) == (ExitCode.OK, 3)
    assert (await call(system, "replay", "requests")).code == ExitCode.OK
    assert await lag(system) == 2_201

    again_worker = system.start_worker()
    await caught_up(system, _WITHIN_S)
    await assert_consistent(system, embedder)
    assert await again_worker.stop() == ExitCode.OK


async def test_requests_are_read_again_from_a_moment_on(system: System) -> None:
    """Partitions have requests of before it, of after it, of both or none."""

    def adds(name: str, users: range) -> list[Message]:
        return [
            message({"request_id": f"{name}{user}", "op": "add", "user_id": f"u{user}", "text": f"{name} {user}"})
            for user in users
        ]

    earlier, later = adds("earlier", range(20)), adds("later", range(3))
    await publish(system, earlier)
    times = [record.timestamp for record in await read_topic(system, system.topics.requests)]

    async def is_past() -> bool:
        # In the milliseconds that Kafka counts, it is after all of them.
        return int(datetime.now(UTC).timestamp() * 1000) > round(max(times) * 1000)

    await eventually(is_past, _WITHIN_S, "the clock has moved on")
    moment = datetime.now(UTC).isoformat()
    await publish(system, later)
    worker = system.start_worker()
    await caught_up(system, _WITHIN_S)
    assert await worker.stop() == ExitCode.OK
    await has_members(system, 0)
    before = await read_topic(system, system.topics.events)
    requests = await read_topic(system, system.topics.requests)

    planned = await call(system, "replay", "requests", "--from", moment, "--dry-run", "--json")
    partitions = orjson.loads(planned.out)["partitions"]
    first = {
        number: min(
            (one.offset for one in requests if one.partition == number and b"later" in (one.value or b"")),
            default=sum(one.partition == number for one in requests),
        )
        for number in range(6)
    }
    assert {one["partition"]: one["from"] for one in partitions} == first
    assert await lag(system) == 0
    done = await call(system, "replay", "requests", "--from", moment)
    assert done.code == ExitCode.OK, done.err
    assert await lag(system) == len(later)

    again = system.start_worker()
    await caught_up(system, _WITHIN_S)
    assert await again.stop() == ExitCode.OK
    seen = {(record.partition, record.offset) for record in before}
    told = [
        record
        for record in await read_topic(system, system.topics.events)
        if (record.partition, record.offset) not in seen
    ]
    assert {orjson.loads(record.value or b"")["request_id"] for record in told} == {f"later{n}" for n in range(3)}
    assert {record.header("ce_id") for record in told} < {record.header("ce_id") for record in before}
