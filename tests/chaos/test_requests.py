"""Requests that are bad, come again, or come in floods; and a dead-letter topic that takes none."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka.partitioner import DefaultPartitioner

from infra.postgres import Database
from streams.topics import ensure_topics
from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import Message, caught_up, has_members, offsets, publish, remove_topic, rewind
from tests.harness.load import progressed
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workload import POISON_KINDS, message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.mark.case("poison-{percent}", full=["poison-100"])
@pytest.mark.parametrize("percent", [1, 100])
async def test_poison(system: System, case: Case, percent: int) -> None:
    work = case.work(poison=percent / 100)
    messages = list(work.messages(case.scaled(5_000, 1_000) if percent == 1 else case.scaled(1_000, 200)))
    kinds = [kind for kind in POISON_KINDS if percent < 100 or kind != "request_id_conflict"]
    messages += [work.poisonous(kind) for kind in kinds]  # each at least once
    await publish(system, messages)
    worker = system.start_worker()
    await case.recovers(system)
    summary = await case.judge(system)
    assert summary.dead_letters >= len(kinds)
    # Nobody died and nothing was taken away: each record was set aside once.
    assert summary.repeated_dead_letters == 0
    assert percent < 100 or summary.dead_letters == summary.requests
    await stop_cleanly(worker)


@pytest.mark.case("dead-letters-refused")
async def test_there_is_no_dead_letter_topic(system: System, case: Case) -> None:
    """The worker waits until there is one, and commits nothing beyond the poison."""
    worker = system.start_worker({"kafka.request_timeout_s": "2"})
    await has_members(system, 1)
    await remove_topic(system, system.topics.dead_letters)
    work = case.work(users=1)
    poison = replace(work.poisonous("not-json"), key=b"default/user:user-0")
    await publish(system, [poison, *work.messages(600)])
    await worker.says("waiting for a store")
    await asyncio.sleep(case.scaled(30, 5))
    assert sum((await offsets(system)).committed.values()) == 0
    await ensure_topics(system.kafka)
    await case.recovers(system)
    summary = await case.judge(system)
    assert summary.dead_letters == 1
    await stop_cleanly(worker)


@pytest.mark.case("redelivered", full=True)
async def test_the_whole_topic_comes_again(system: System, case: Case) -> None:
    await publish(system, case.work(poison=0.01).messages(5_000))
    first = system.start_worker()
    await caught_up(system, 300)
    before = await observe(system)
    await stop_cleanly(first)
    await rewind(system)
    second = system.start_worker()
    await case.recovers(system)
    summary = await case.judge(system)
    after = await observe(system)
    assert (after.rows, after.history, after.outcomes) == (before.rows, before.history, before.outcomes)
    assert summary.seen_again >= len(after.outcomes)
    await stop_cleanly(second)


@pytest.mark.case("producers-retry", full=True)
async def test_two_producers_send_the_same_and_each_repeats_itself(system: System, case: Case) -> None:
    work = case.work(poison=0.01, repeated=0.3)
    worker = system.start_worker()
    messages = list(work.messages(case.scaled(5_000, 800)))
    await asyncio.gather(publish(system, messages), publish(system, messages))
    await case.judge(system)
    await stop_cleanly(worker)


@pytest.mark.case("hot-scope", full=True)
async def test_all_requests_on_one_key(system: System, case: Case) -> None:
    """One partition does all the work; whoever has it is killed."""
    await publish(system, case.work(users=1, purges=1).messages(case.scaled(10_000, 1_500)))
    workers = [system.start_worker() for _ in range(case.scaled(3, 2))]
    for number in range(len(workers) - 1):
        await progressed(system, 200)
        workers[number].kill()
    await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(workers[-1])


@pytest.mark.case("flood", full=True)
async def test_a_projects_flood_beside_anothers_trickle(system: System, case: Case) -> None:
    """What lies in other partitions does not wait until the flood is over."""
    flooded = _partition(_key("flood", "one"), system.kafka.partitions)
    users = [f"user-{number}" for number in range(200)]
    users = [u for u in users if _partition(_key("trickle", u), system.kafka.partitions) != flooded][:50]
    await publish(system, (_add("flood", "one", str(number), case) for number in range(20_000)))
    worker = system.start_worker()
    await progressed(system, 1_000)
    await publish(system, (_add("trickle", user, f"trickle-{user}", case) for user in users))
    await _all_done(system, "trickle", [f"trickle-{user}" for user in users])
    assert (await offsets(system)).lag(flooded) > 0, "the flood was over before"
    await case.judge(system)
    await stop_cleanly(worker)


@pytest.mark.case("flood-everywhere", full=True)
async def test_a_projects_flood_in_all_partitions(system: System, case: Case) -> None:
    """Another's trickle waits for what lies before it in its partition, and not for what comes later."""
    flood = case.scaled(8_000, 2_000)
    users = [f"user-{number}" for number in range(60)]

    async def publish_flood(name: str) -> None:
        await publish(system, (_add("flood", f"user-{n % 600}", f"{name}-{n}", case) for n in range(flood)))

    await publish_flood("before")
    await publish(system, (_add("trickle", user, f"trickle-{user}", case) for user in users))
    ends = (await offsets(system)).ends
    assert all(ends.values()), "a partition without a flood"
    await publish_flood("after")
    worker = system.start_worker()
    await has_members(system, 1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await _all_done(system, "trickle", [f"trickle-{user}" for user in users])
    case.counts["trickle_waited_s"] = loop.time() - began
    # Partitions take turns: where one came after the other, five sixths of this would be done by now.
    now = await offsets(system)
    done = sum(max(0, now.committed[partition] - end) for partition, end in ends.items())
    case.counts["done_of_after"] = done / flood
    assert done < flood / 2, f"{done} of the {flood} that came after the trickle were done before it"
    await caught_up(system, 300)
    case.counts["all_done_s"] = loop.time() - began
    await case.judge(system)
    await stop_cleanly(worker)


async def _all_done(system: System, project: str, request_ids: list[str]) -> None:
    """Wait until all these requests are applied."""
    database = Database(system.postgres)

    async def done() -> bool:
        found = [await asyncio.to_thread(database.outcome, project, id) for id in request_ids]
        return all(outcome is not None for outcome in found)

    try:
        await eventually(done, 240, f"all requests of {project} are done", system.logs)
    finally:
        database.close()


def _add(project: str, user: str, request_id: str, case: Case) -> Message:
    vector = [round(case.random.gauss(0, 1), 3) for _ in range(case.embedder.identity.dimension)]
    request = {"project": project, "request_id": request_id, "op": "add", "user_id": user, "text": request_id}
    return message({**request, "vector": vector})


def _key(project: str, user: str) -> bytes:
    return f"{project}/user:{user}".encode()


def _partition(key: bytes, partitions: int) -> int:
    every = list(range(partitions))
    return int(DefaultPartitioner()(key, every, every))
