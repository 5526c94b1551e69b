"""Workers that die, leave and come back."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from agentmem.exit_codes import ExitCode
from infra.onnx import Embedder
from tests.harness.kafka import caught_up, has_members, publish
from tests.harness.load import progressed
from tests.harness.oracle import assert_consistent
from tests.harness.system import System
from tests.harness.workload import Workload, seed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

REQUESTS = 20_000
KILLS = 10
#: A moment for a kill lies at most this long after some progress of the victim's group, in seconds.
LATEST_KILL_S = 2.0


async def test_a_worker_killed_ten_times_loses_and_doubles_nothing(system: System, embedder: Embedder) -> None:
    random = Random(seed())
    work = Workload(random, embedder.identity.dimension, poison=0.01)
    part = REQUESTS // KILLS
    await publish(system, work.messages(part))
    pair = [system.start_worker() for _ in range(2)]
    for kill in range(KILLS):
        victim = random.randrange(2)
        # Before waiting: of the part before there may be less left than is waited for.
        if kill:
            await publish(system, work.messages(part))
        await progressed(system, random.randrange(1, part // 2))
        await asyncio.sleep(random.uniform(0, LATEST_KILL_S))
        assert pair[victim].code is None, pair[victim].tail()
        pair[victim].kill()
        pair[victim] = system.start_worker()
    await caught_up(system, 300)
    summary = await assert_consistent(system, embedder)
    print(summary)
    assert summary.requests >= REQUESTS
    assert [await worker.stop() for worker in pair] == [ExitCode.OK] * 2


async def test_workers_that_are_told_to_stop_under_load_leave_cleanly(system: System, embedder: Embedder) -> None:
    work = Workload(Random(seed()), embedder.identity.dimension)
    await publish(system, work.messages(3_000))
    first, second = system.start_worker(), system.start_worker()
    await progressed(system, 200)
    assert await first.stop() == ExitCode.OK
    await progressed(system, 200)
    third = system.start_worker()
    await has_members(system, 2)
    assert await second.stop() == ExitCode.OK
    await caught_up(system, 120)
    await assert_consistent(system, embedder)
    assert await third.stop() == ExitCode.OK
