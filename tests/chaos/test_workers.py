"""Workers that die, leave, come back, and come and go."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import group_state, has_members, publish
from tests.harness.load import progressed, under_load
from tests.harness.system import System
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2_400)]

#: A moment for a kill lies at most this long after some progress of the victim's group, in seconds.
LATEST_KILL_S = 2.0
#: Of a worker at a time: one stored, one that waits for its commit, one that is committed.
BATCHES_IN_HAND = 3


@pytest.mark.case("workers-killed")
async def test_three_workers_killed_again_and_again(system: System, case: Case) -> None:
    requests, kills = case.scaled(100_000, 6_000), case.scaled(30, 4)
    work, part = case.work(poison=0.01), requests // kills
    await publish(system, work.messages(requests - kills * part))
    workers = [system.start_worker() for _ in range(3)]
    for _ in range(kills):
        await publish(system, work.messages(part))
        await progressed(system, case.random.randrange(1, part // 2))
        await asyncio.sleep(case.random.uniform(0, LATEST_KILL_S))
        victim = case.random.randrange(3)
        assert workers[victim].code is None, workers[victim].tail()
        workers[victim].kill()
        workers[victim] = system.start_worker()
    await case.recovers(system)
    summary = await case.judge(system, 600)
    assert summary.requests == requests
    await stop_cleanly(*workers)


@pytest.mark.case("workers-stopped")
async def test_workers_told_to_stop_one_after_the_other(system: System, case: Case) -> None:
    """Each ends with code 0 in time. Seen again is at most what was in hand when the group was rearranged."""
    batch = 20
    messages = list(case.work().messages(case.scaled(20_000, 3_000)))
    workers = [system.start_worker({"window.max_records": str(batch)}) for _ in range(3)]
    await has_members(system, 3)
    # Longer than it takes, so that there is load to the end.
    async with under_load(system, messages, case.scaled(300, 180), rest_at_end=True):
        for number in range(3):
            await progressed(system, 100)
            await stop_cleanly(workers[number])
            workers[number] = system.start_worker({"window.max_records": str(batch)})
            await has_members(system, 3)
    await case.recovers(system)
    summary = await case.judge(system)
    # Three leave, and each time what three workers have in hand is dropped; three join, with nothing in hand yet.
    assert summary.seen_again <= 3 * (3 + 2) * BATCHES_IN_HAND * batch
    await stop_cleanly(*workers)


@pytest.mark.case("rebalance-storm", full=True)
async def test_workers_join_and_leave_without_a_pause(system: System, case: Case) -> None:
    """Each leaves as soon as it is a member, while the next one starts: that is one about every five seconds."""
    guests = case.scaled(24, 4)
    stays = system.start_worker()
    await has_members(system, 1)
    _, members = await group_state(system)
    messages = list(case.work().messages(case.scaled(12_000, 2_000)))
    # Longer than it takes, so that there is load to the end.
    async with under_load(system, messages, guests * 10, rest_at_end=True), asyncio.TaskGroup() as leaving:
        for _ in range(guests):
            guest = system.start_worker()
            members |= await _newcomer(system, members)
            leaving.create_task(stop_cleanly(guest))
    await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(stays)


async def _newcomer(system: System, known: set[str]) -> set[str]:
    """Wait until the group is stable with a member that it did not have before."""
    new: set[str] = set()

    async def there() -> bool:
        state, members = await group_state(system)
        new.update(members - known)
        return state == "Stable" and bool(members - known)

    await eventually(there, 120, "another member in the group", system.logs)
    return new
