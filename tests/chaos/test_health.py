"""Workers with nothing to do, and a store that dies."""

from __future__ import annotations

import pytest

from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import publish
from tests.harness.own_stores import OwnStores
from tests.harness.system import System
from tests.harness.worker_port import WorkerPort

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.mark.case("idle-without-{store}", full=["idle-without-postgres", "idle-without-weaviate"])
@pytest.mark.parametrize("store", ["kafka", "postgres", "weaviate"])
async def test_a_store_killed_while_nothing_is_to_be_done(
    breakable: OwnStores, breakable_system: System, case: Case, store: str
) -> None:
    """The worker is alive and not ready until the store is back, and then works on as ever."""
    system, port = breakable_system, WorkerPort(breakable_system)
    worker = system.start_worker(environment=port.environment)
    await port.becomes_ready()
    await breakable.kill(store)
    await port.has_problem(store.capitalize())
    assert (await port.get("/health/live"))[0] == 200
    await breakable.start(store)
    with case.recovering():
        await port.becomes_ready()
    await publish(system, case.work().messages(case.scaled(500, 100)))
    await case.judge(system)
    await stop_cleanly(worker)
