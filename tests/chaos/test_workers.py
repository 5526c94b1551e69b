"""Workers that die, leave, come back, and come and go."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import group_state, has_members, publish
from tests.harness.load import progressed, under_load
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.worker_port import WorkerPort
from tests.harness.workers import WorkerProcess

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2_400)]

#: A moment for a kill lies at most this long after its victim was seen at work, in seconds.
LATEST_KILL_S = 2.0
#: Of a worker at a time: one stored, one that waits for its commit, one that is committed.
BATCHES_IN_HAND = 3
#: What a worker logs that drops a batch.
DROPPED = "batch dropped: its partitions were taken away"
#: Records of a batch, where what is seen again is counted.
BATCH = 20
#: How often a worker joins, and one leaves, at most.
STORM_EVERY_S = 5.0


@pytest.mark.case("workers-killed")
async def test_three_workers_killed_again_and_again(system: System, case: Case) -> None:
    """Each is a ready member of the group moments before it dies."""
    requests, kills = case.scaled(100_000, 6_000), case.scaled(30, 4)
    work, part = case.work(poison=0.01), requests // kills
    await publish(system, work.messages(requests - kills * part))
    ports = [WorkerPort(system) for _ in range(3)]
    workers = [system.start_worker(environment=port.environment) for port in ports]
    for _ in range(kills):
        await publish(system, work.messages(part))
        await progressed(system, case.random.randrange(1, part // 2))
        victim = case.random.randrange(3)
        await eventually(ports[victim].is_ready, 120, "the victim is a member", workers[victim].tail)
        await asyncio.sleep(case.random.uniform(0, LATEST_KILL_S))
        assert workers[victim].code is None, workers[victim].tail()
        workers[victim].kill()
        workers[victim] = system.start_worker(environment=ports[victim].environment)
    await case.recovers(system)
    summary = await case.judge(system, 600)
    assert summary.requests == requests
    await stop_cleanly(*workers)


@pytest.mark.case("workers-stopped")
async def test_workers_told_to_stop_one_after_the_other(system: System, case: Case) -> None:
    """Each ends with code 0 in time. Seen again is at most what was in hand when the group was rearranged."""
    messages = list(case.work().messages(case.scaled(20_000, 3_000)))
    workers = [_start(system) for _ in range(3)]
    await has_members(system, 3)
    # Longer than it takes, so that there is load to the end.
    async with under_load(system, messages, case.scaled(120, 60), rest_at_end=True):
        for number in range(3):
            await progressed(system, 100)
            await stop_cleanly(workers[number])
            workers[number] = _start(system)
            await has_members(system, 3)
    await case.recovers(system)
    summary = await case.judge(system)
    assert summary.seen_again <= _in_hand(case, system, stops=3)
    await stop_cleanly(*workers)


@pytest.mark.case("rebalance-storm", full=True)
async def test_workers_join_and_leave_without_a_pause(system: System, case: Case) -> None:
    """For two minutes at least, and until so many have come and gone that it is one every five seconds of them."""
    loop = asyncio.get_running_loop()
    seconds, least = case.scaled(120, 20), case.scaled(24, 4)
    stays = _start(system)
    await has_members(system, 1)
    _, members = await group_state(system)
    messages = list(case.work().messages(case.scaled(12_000, 2_000)))
    began, guests = loop.time(), 0
    # Longer than it takes, so that there is load to the end.
    async with under_load(system, messages, 2 * seconds, rest_at_end=True), asyncio.TaskGroup() as leaving:
        while guests < least or loop.time() < began + seconds:
            next_one = loop.time() + STORM_EVERY_S
            guests += 1
            guest = _start(system)
            members |= await _newcomer(system, members)
            leaving.create_task(stop_cleanly(guest))
            await asyncio.sleep(next_one - loop.time())
    case.counts |= {"guests": guests, "storm_s": loop.time() - began}
    await case.recovers(system)
    summary = await case.judge(system)
    assert summary.seen_again <= _in_hand(case, system, stops=guests)
    await stop_cleanly(stays)


def _start(system: System) -> WorkerProcess:
    """A worker with small batches."""
    return system.start_worker({"window.max_records": str(BATCH)})


def _in_hand(case: Case, system: System, stops: int) -> int:
    """What workers had in hand, at most, when they were told to stop or lost their partitions.

    Who loses partitions says what it drops; who is told to stop has no time for that.
    """
    dropped = sum(
        int(entry["records"])
        for worker in system.workers
        for line in worker.text().splitlines()
        if DROPPED in line and (entry := orjson.loads(line))
    )
    case.counts["dropped"] = dropped
    return dropped + stops * BATCHES_IN_HAND * BATCH


async def _newcomer(system: System, known: set[str]) -> set[str]:
    """Wait until the group is stable with a member that it did not have before."""
    new: set[str] = set()

    async def there() -> bool:
        state, members = await group_state(system)
        new.update(members - known)
        return state == "Stable" and bool(members - known)

    await eventually(there, 120, "another member in the group", system.logs)
    return new
