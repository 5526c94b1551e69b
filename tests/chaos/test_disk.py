"""A store whose disk is full."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import has_members
from tests.harness.load import progressed, under_load
from tests.harness.own_stores import OwnStores
from tests.harness.small_disk import small_disk
from tests.harness.system import System
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


#: What each store says when its disk is full.
SAYS = dict.fromkeys(("postgres", "kafka"), "No space left on device") | {"weaviate": "Set READONLY"}


@pytest.mark.case("{store}-disk-full", full=True)
@pytest.mark.parametrize("store", SAYS)
async def test_a_full_disk(breakable: OwnStores, breakable_system: System, case: Case, store: str) -> None:
    """The store fails or ends; with room again (and started again, if it ended) everything goes on."""
    system = breakable_system
    await breakable.stop(store)
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(breakable.data(store), 500))
        await breakable.start(store)
        workers = [system.start_worker() for _ in range(2)]
        await has_members(system, 2)
        messages = list(case.work(poison=0.01).messages(case.scaled(5_000, 3_000)))
        async with under_load(system, messages, case.scaled(25, 15)):
            await progressed(system, 100)
            disk.fill(but_mib=2)

            async def noticed() -> bool:
                return SAYS[store] in breakable.log(store)

            await eventually(noticed, 120, f"{store} says that its disk is full", system.logs)
            await asyncio.sleep(case.scaled(10, 5))
            disk.make_room()
            ended = not breakable.is_running(store)
            case.counts["ended"] = "yes" if ended else "no"
            if ended:
                await breakable.start(store)
            await case.recovers(system)
        await case.judge(system)
        await stop_cleanly(*workers)
        await breakable.stop(store)
    await breakable.start(store)
