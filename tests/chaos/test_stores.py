"""Stores that go away under load and come back."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import has_members, publish
from tests.harness.load import progressed, under_load
from tests.harness.own_stores import OwnStores
from tests.harness.system import System

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

#: What a worker logs when it notices that a store is away.
NOTICED = {
    "postgres": "Postgres is unavailable",
    "kafka": "Marking the coordinator dead",
    "weaviate": "waiting for a store",
}


@pytest.mark.case("{store}-restarted")
@pytest.mark.parametrize("store", ["postgres", "kafka"])
async def test_a_store_restarted_under_load(
    breakable: OwnStores, breakable_system: System, case: Case, store: str
) -> None:
    """Again and again; and while it is down for the last time one of the workers is told to stop."""
    system, times = breakable_system, case.scaled(5, 2)
    workers = [system.start_worker() for _ in range(2)]
    await has_members(system, 2)
    messages = list(case.work(poison=0.01).messages(case.scaled(8_000, 2_000)))
    async with under_load(system, messages, case.scaled(120, 30), rest_at_end=True):
        for number in range(times):
            await progressed(system, 100)
            await breakable.stop(store)
            if number == times - 1:
                await workers[1].says(NOTICED[store])
                await stop_cleanly(workers.pop())
            await breakable.start(store)
            await case.recovers(system)
        workers.append(system.start_worker())
    await case.judge(system)
    await stop_cleanly(*workers)


@pytest.mark.case("{store}-killed", full=["kafka-killed"])
@pytest.mark.parametrize("store", ["kafka", "weaviate"])
async def test_a_store_killed_under_load(
    breakable: OwnStores, breakable_system: System, case: Case, store: str
) -> None:
    """Weaviate may forget what it had acknowledged just before: the verification of the index finds it."""
    system = breakable_system
    verifying = {"worker.verify_rows_per_s": "2000", "worker.sweep_grace_s": "1"}
    workers = [system.start_worker(verifying) for _ in range(2)]
    await has_members(system, 2)
    messages = list(case.work(poison=0.01).messages(case.scaled(8_000, 1_500)))
    async with under_load(system, messages, case.scaled(120, 20), rest_at_end=True):
        for _ in range(case.scaled(5, 1)):
            await progressed(system, case.random.randrange(50, 300))
            await breakable.kill(store)
            await breakable.start(store)
            await case.recovers(system)
    await case.becomes_consistent(system, 300)
    await case.judge(system)
    await stop_cleanly(*workers)


@pytest.mark.case("weaviate-away-{seconds}", full=["weaviate-away-60", "weaviate-away-330"])
@pytest.mark.parametrize("seconds", [30, 60, 330])
async def test_weaviate_away_with_a_rebalance_in_the_middle(
    breakable: OwnStores, breakable_system: System, case: Case, seconds: int
) -> None:
    """Longer than a session, a rebalance and a heartbeat may take.

    At the longest, longer than the poll interval that clients of Kafka have by default, too: 300 s.
    """
    system = breakable_system
    work = case.work(poison=0.01)
    await publish(system, work.messages(800))
    stays, leaves, dies = [system.start_worker() for _ in range(3)]
    await has_members(system, 3)
    await progressed(system, 100)
    async with under_load(system, list(work.messages(800)), seconds):
        await breakable.stop("weaviate")
        outage = asyncio.create_task(asyncio.sleep(seconds))
        await stays.says(NOTICED["weaviate"])
        await stop_cleanly(leaves)
        dies.kill()
        await has_members(system, 1)
        late = system.start_worker()
        await outage
        assert stays.code is None
        await has_members(system, 1)  # still: the late one first waits for Weaviate
        await breakable.start("weaviate")
        await case.recovers(system)
    await has_members(system, 2)
    await case.judge(system)
    await stop_cleanly(stays, late)


@pytest.mark.case("stores-late")
async def test_a_worker_started_before_its_stores_waits_for_them(
    breakable: OwnStores, breakable_system: System, case: Case
) -> None:
    system = breakable_system
    await publish(system, case.work(poison=0.01).messages(100))
    stores = ("postgres", "weaviate", "kafka")
    for store in stores:
        await breakable.stop(store)
    worker = system.start_worker()
    for store in stores:
        await worker.says(f"start of {store.capitalize()}")
        await breakable.start(store)
    await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(worker)
