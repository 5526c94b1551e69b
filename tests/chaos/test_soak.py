"""Hours in small: load at half of what a worker can do, for long, and nothing grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from statistics import fmean

import psutil
import pytest
from aiohttp.test_utils import unused_port

from tests.harness.case import Case, stop_cleanly
from tests.harness.gateways import Gateway
from tests.harness.kafka import Message, caught_up, publish, publisher
from tests.harness.system import System
from tests.harness.workers import WorkerProcess

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7_200)]

_SAMPLE_EVERY_S = 5.0
#: By how much the last quarter may lie above the second: a part, and a number of the unit.
FLAT = {"memory_mib": (0.03, 8), "files": (0.0, 4), "connections": (0.0, 4), "threads": (0.0, 2)}


@pytest.mark.case("soak", full=True)
async def test_nothing_grows(system: System, case: Case, request: pytest.FixtureRequest) -> None:
    """Texts are embedded here; memories come and go, so that there are about as many all the time."""
    seconds = 60 * request.config.getoption("--soak-minutes")
    work = case.work(poison=0.01, embedded=1.0, purges=3)
    worker, gateway = system.start_worker(), Gateway(system, unused_port())
    await gateway.start()
    await publish(system, work.messages(200))
    await caught_up(system, 120)
    await publish(system, work.messages(4_000))
    began = time.monotonic()
    await caught_up(system, 300)
    rate = 4_000 / (time.monotonic() - began) / 2
    print(f"half of the ceiling: {rate:.0f} requests/s, for {seconds:.0f} s")

    samples: dict[str, list[dict[str, float]]] = {"worker": [], "gateway": []}
    deadline = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_load(system, work.messages(int(rate * seconds)), rate))
        tasks.create_task(_search(gateway, deadline))
        while time.monotonic() < deadline:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            samples["worker"].append(_sample(worker))
            samples["gateway"].append(_sample(gateway.process))
    await case.recovers(system)
    case.counts["grown"] = {name: _grown(taken) for name, taken in samples.items()}
    for name, taken in samples.items():
        before, after = _quarters(taken, "memory_mib")
        case.counts[f"{name}_grew_mib"] = after - before
    print(case.counts["grown"])
    await case.judge(system)
    for name, taken in samples.items():
        for what, (part, number) in FLAT.items():
            before, after = _quarters(taken, what)
            assert after <= before * (1 + part) + number, f"{what} of the {name}: {before:.1f}, then {after:.1f}"
    await stop_cleanly(worker, gateway.process)


async def _load(system: System, messages: Iterable[Message], rate: float) -> None:
    pending: list[Message] = []
    began, sent = time.monotonic(), 0
    async with publisher(system) as send:
        for one in messages:
            pending.append(one)
            if len(pending) >= rate / 5:
                await send(pending)
                sent += len(pending)
                pending.clear()
                await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
        await send(pending)


async def _search(gateway: Gateway, deadline: float) -> None:
    number = 0
    while time.monotonic() < deadline:
        number += 1
        body = {"query": "likes tea", "filters": {"user_id": f"user-{number % 60}"}}
        await gateway.post("/v3/memories/search/", body)
        await asyncio.sleep(0.5)


def _sample(process: WorkerProcess) -> dict[str, float]:
    seen = psutil.Process(process.pid)
    return {
        "memory_mib": seen.memory_info().rss / 2**20,
        "files": seen.num_fds(),
        "connections": len(seen.net_connections("tcp")),
        "threads": seen.num_threads(),
    }


def _quarters(taken: list[dict[str, float]], what: str) -> tuple[float, float]:
    """The means of the second quarter (before it, caches fill) and of the last."""
    values, quarter = [sample[what] for sample in taken], len(taken) // 4
    return fmean(values[quarter : 2 * quarter]), fmean(values[-quarter:])


def _grown(taken: list[dict[str, float]]) -> dict[str, list[float]]:
    return {what: [round(value, 1) for value in _quarters(taken, what)] for what in FLAT}
