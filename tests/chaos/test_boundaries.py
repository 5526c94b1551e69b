"""A worker that dies, or stands still, exactly between two stages."""

from __future__ import annotations

import asyncio
import signal
from uuid import UUID

import pytest

from agents import failpoints
from agents.paging import MOST
from infra.postgres import Database
from infra.weaviate import VectorIndex
from schemas.identity import memory_id
from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import caught_up, has_members, publish
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workers import WorkerProcess
from tests.harness.workload import message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

MEMORIES = 60
#: How long, in seconds, mending that many memories may take, on a machine that does much else.
MENDED_WITHIN_S = 10


@pytest.mark.case("crash-{point}", full=["crash-before-upsert", "crash-after-upsert"])
@pytest.mark.parametrize("point", failpoints.BOUNDARIES)
async def test_a_worker_dies_at_a_boundary(system: System, case: Case, point: str) -> None:
    """Again and again, each time after some batches more."""
    await publish(system, case.work(poison=0.01).messages(case.scaled(3_000, 500)))
    small = {"window.max_records": str(case.scaled(100, 50))}
    for _ in range(case.scaled(2, 1)):
        fault = f"{point}:{case.random.randrange(1, 5)}:SIGKILL"
        dying = system.start_worker(small, {failpoints.VARIABLE: fault})
        assert await dying.ended(120) == -signal.SIGKILL, dying.tail()
    last = system.start_worker(small)
    await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(last)


@pytest.mark.case("crash-in-delete-all")
async def test_a_worker_dies_in_the_middle_of_a_delete_all(system: System, case: Case, database: Database) -> None:
    """It has many chunks, announced in many pages: a worker dies after the second, in each stage."""
    texts = [{"role": "user", "content": f"the same again and again {number % 40}"} for number in range(MOST)]
    user = {"user_id": "user"}
    adds = [{"request_id": f"add-{n}", "op": "add", "messages": texts[n:], **user} for n in range(3)]
    await publish(system, map(message, adds))
    first = system.start_worker()
    await caught_up(system, 300)
    await stop_cleanly(first)
    after = {"request_id": "after", "op": "add", "text": "comes later", **user}
    await publish(system, map(message, ({"request_id": "all", "op": "delete_all", **user}, after)))
    for point in ("after-apply", "after-project", "after-announce"):
        dying = system.start_worker(environment={failpoints.VARIABLE: f"{point}:2:SIGKILL"})
        assert await dying.ended(120) == -signal.SIGKILL, dying.tail()
        outcome = database.outcome("default", "all")
        assert outcome is not None
        assert outcome.is_open == (point == "after-apply")
        assert database.outcome("default", "after") is None
    last = system.start_worker()
    await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(last)


@pytest.mark.case("paused-and-{end}", full=["paused-and-killed"])
@pytest.mark.parametrize("end", ["continued", "killed"])
async def test_a_worker_wakes_up_with_old_rows_in_its_hands(system: System, case: Case, end: str) -> None:
    """It stands still with rows read and not yet written to Weaviate; meanwhile others change these memories.

    What it then writes is old. It sees so itself and mends it; where it dies first, a sweep does, which looks at
    what changed in the last two intervals.
    """
    pause_s = case.scaled(60 if end == "continued" else 20, 12)
    # Where it mends by itself no sweep takes part.
    sweep_s = 3_600 if end == "continued" else pause_s
    settings = {"worker.sweep_interval_s": str(sweep_s), "worker.sweep_grace_s": "1"}
    after = signal.SIGSTOP if end == "continued" else signal.SIGKILL
    await publish(system, (message(_add(number)) for number in range(MEMORIES)))
    fault = f"before-upsert:1:SIGSTOP,after-upsert:1:{after.name}"
    zombie = system.start_worker(settings, {failpoints.VARIABLE: fault})
    await _stopped(zombie)
    resting = asyncio.create_task(asyncio.sleep(pause_s))
    other = system.start_worker(settings)
    await caught_up(system, 120)
    await publish(system, (message(_update(number)) for number in range(MEMORIES)))
    await caught_up(system, 120)
    assert await _old(system) == set()
    await resting

    zombie.signal(signal.SIGCONT)
    if end == "continued":
        await _stopped(zombie)
    else:
        assert await zombie.ended(60) == -signal.SIGKILL
    assert await _old(system), "nothing old was written: the case shows nothing"

    loop = asyncio.get_running_loop()
    began = loop.time()
    zombie.signal(signal.SIGCONT)

    async def mended() -> bool:
        return not await _old(system)

    within_s = case.scaled(MENDED_WITHIN_S, 60) + (0 if end == "continued" else sweep_s)
    await eventually(mended, within_s, "the index is mended", system.logs)
    case.counts["recovery_s"] = loop.time() - began
    await case.judge(system)
    if end == "continued":
        await has_members(system, 2)
        await stop_cleanly(zombie)
    await stop_cleanly(other)


def _add(number: int) -> dict[str, object]:
    return {"request_id": f"add-{number}", "op": "add", "user_id": f"user-{number}", "text": f"old {number}"}


def _update(number: int) -> dict[str, object]:
    return {
        "request_id": f"update-{number}",
        "op": "update",
        "user_id": f"user-{number}",
        "memory_id": str(_id(number)),
        "text": f"new {number}",
    }


def _id(number: int) -> UUID:
    return memory_id("default", f"add-{number}", 0)


async def _stopped(worker: WorkerProcess) -> None:
    await eventually(worker.stands_still, 120, "the worker stands still", worker.tail)


async def _old(system: System) -> set[UUID]:
    """The memories that Weaviate holds in their first version, or not at all."""
    index = VectorIndex(system.weaviate)
    await index.open()
    try:
        ids = {_id(number) for number in range(MEMORIES)}
        versions = await index.versions(list(ids))
    finally:
        await index.close()
    return {id for id in ids if versions.get(id) != 2}
