"""Clocks that jump, forwards and backwards."""

from __future__ import annotations

import asyncio
import re
from contextlib import closing
from datetime import datetime
from pathlib import Path

import psycopg2
import pytest

from tests.harness.case import Case, stop_cleanly
from tests.harness.clock import Clock
from tests.harness.kafka import has_members
from tests.harness.load import progressed, under_load
from tests.harness.own_stores import OwnStores
from tests.harness.system import System
from tests.harness.workers import WorkerProcess

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

HOUR_S = 3600
JUMPS_S = (HOUR_S, -HOUR_S, 48 * HOUR_S, 0)
_LOGGED_AT = re.compile(r'"timestamp": ?"([^"]+)"')


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.mark.case("workers-clock")
async def test_the_workers_clock_jumps(system: System, case: Case, clock: Clock) -> None:
    workers = [system.start_worker(environment=clock.environment()) for _ in range(2)]
    await _jumps(system, case, clock, steady=True)
    clock.set(48 * HOUR_S)
    await stop_cleanly(*workers)
    for worker in workers:  # it tells when it started, and when it was told to stop
        assert _logged_for_s(worker) > HOUR_S, "the clock of a worker did not jump: the case shows nothing"


@pytest.mark.case("postgres-clock", full=True)
async def test_the_clock_of_postgres_jumps(
    breakable: OwnStores, breakable_system: System, case: Case, clock: Clock
) -> None:
    system = breakable_system
    await breakable.stop("postgres")
    await breakable.start("postgres", clock.environment())
    try:
        workers = [system.start_worker({"worker.sweep_interval_s": "5"}) for _ in range(2)]
        await _jumps(system, case, clock, steady=False)
        await stop_cleanly(*workers)
        with closing(psycopg2.connect(system.postgres.dsn.get_secret_value())) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT extract(epoch FROM max(recorded_at) - min(recorded_at)) FROM memory_history")
            [(spread_s,)] = cursor.fetchall()
        assert spread_s > HOUR_S, "the clock of Postgres did not jump: the case shows nothing"
    finally:  # for the next case
        await breakable.stop("postgres")
        await breakable.start("postgres")


async def _jumps(system: System, case: Case, clock: Clock, *, steady: bool) -> None:
    await has_members(system, 2)
    seconds = case.scaled(20, 10)
    async with under_load(system, list(case.work(poison=0.01).messages(case.scaled(2_000, 800))), seconds):
        for ahead_s in JUMPS_S:
            await progressed(system, 50)
            clock.set(ahead_s)
            await asyncio.sleep(seconds / 8)
    await case.recovers(system)
    await case.judge(system, steady_clock=steady)


def _logged_for_s(worker: WorkerProcess) -> float:
    times = [datetime.fromisoformat(time) for time in _LOGGED_AT.findall(worker.text())]
    return (max(times) - min(times)).total_seconds()
