"""Stores that go away under load and come back."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from agentmem.exit_codes import ExitCode
from infra.onnx import Embedder
from tests.harness.kafka import caught_up, has_members, publish
from tests.harness.load import progressed, under_load
from tests.harness.oracle import assert_consistent
from tests.harness.own_stores import OwnStores
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workers import WorkerProcess
from tests.harness.workload import Workload, seed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

OUTAGE_S = 60.0


@pytest.fixture
def work(embedder: Embedder) -> Workload:
    return Workload(Random(seed()), embedder.identity.dimension, poison=0.01)


async def test_weaviate_away_for_a_minute_with_a_rebalance_in_the_middle(
    breakable: OwnStores, breakable_system: System, work: Workload, embedder: Embedder
) -> None:
    system = breakable_system
    await publish(system, work.messages(800))
    stays, leaves, dies = [system.start_worker() for _ in range(3)]
    await has_members(system, 3)
    await progressed(system, 100)
    async with under_load(system, list(work.messages(800)), OUTAGE_S):
        await breakable.stop("weaviate")
        outage = asyncio.create_task(asyncio.sleep(OUTAGE_S))
        await _logged(stays, "waiting for a store")
        assert await leaves.stop() == ExitCode.OK
        dies.kill()
        await has_members(system, 1)
        late = system.start_worker()
        await outage
        assert stays.code is None
        await breakable.start("weaviate")
    await has_members(system, 2)
    await _all_well(system, embedder, [stays, late])


@pytest.mark.parametrize(
    ("store", "noticed"),
    [("postgres", "Postgres is unavailable"), ("kafka", "Marking the coordinator dead")],
)
async def test_a_store_restarted_under_load(
    breakable: OwnStores, breakable_system: System, work: Workload, embedder: Embedder, store: str, noticed: str
) -> None:
    """Twice; and while it is down for the second time one of the workers is told to stop."""
    system = breakable_system
    workers = [system.start_worker() for _ in range(2)]
    await has_members(system, 2)
    async with under_load(system, list(work.messages(2_000)), 15):
        await progressed(system, 100)
        await breakable.stop(store)
        await breakable.start(store)
        await progressed(system, 100)
        await breakable.stop(store)
        await _logged(workers[1], noticed)
        assert await workers.pop().stop() == ExitCode.OK
        await breakable.start(store)
        workers.append(system.start_worker())
    await _all_well(system, embedder, workers)


async def test_a_worker_started_before_its_stores_waits_for_them(
    breakable: OwnStores, breakable_system: System, work: Workload, embedder: Embedder
) -> None:
    system = breakable_system
    await publish(system, work.messages(100))
    stores = ("postgres", "weaviate", "kafka")
    for store in stores:
        await breakable.stop(store)
    worker = system.start_worker()
    for store in stores:
        await _logged(worker, f"start of {store.capitalize()}")
        await breakable.start(store)
    await _all_well(system, embedder, [worker])


async def _logged(worker: WorkerProcess, text: str) -> None:
    async def there() -> bool:
        assert worker.code is None, worker.tail()
        return text in worker.text()

    await eventually(there, 60, f"the worker says {text!r}", worker.tail)


async def _all_well(system: System, embedder: Embedder, workers: list[WorkerProcess]) -> None:
    await caught_up(system, 120)
    print(await assert_consistent(system, embedder))
    assert [worker.code for worker in workers] == [None] * len(workers), system.logs()
    assert [await worker.stop() for worker in workers] == [ExitCode.OK] * len(workers)
