"""``delete_all`` that races with what it deletes."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing
from uuid import UUID

import psycopg2
import pytest

from agents import failpoints
from schemas.history import ChangeKind
from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import Message, caught_up, has_members, publish, publisher
from tests.harness.load import under_load
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.workload import message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.mark.case("delete-all-races")
async def test_delete_all_beside_adds_of_the_same_scope_and_of_others(system: System, case: Case) -> None:
    """In one partition what counts is the log's order, whoever dies in the middle of it."""
    work = case.work(users=8, purges=5)
    messages = list(work.messages(case.scaled(8_000, 1_500)))
    fault = {failpoints.VARIABLE: "after-apply:6:SIGKILL"}
    workers = [system.start_worker(), system.start_worker(environment=fault)]
    async with under_load(system, messages, case.scaled(40, 10)):
        assert await workers[1].ended(120) == -signal.SIGKILL
        workers[1] = system.start_worker()
    await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(*workers)


@pytest.mark.case("delete-all-across")
async def test_delete_all_of_what_others_add_in_other_partitions(system: System, case: Case) -> None:
    """An agent's memories are added under many users' keys: what it removes is what is there when it runs.

    So what was there before it was even published is gone after it, by it or by one before it.
    """
    adds, purges = case.scaled(6_000, 1_000), case.scaled(60, 15)
    seconds = case.scaled(30, 8)
    workers = [system.start_worker() for _ in range(3)]
    await has_members(system, 3)
    there: list[set[UUID]] = []
    async with (
        under_load(system, [_add(number) for number in range(adds)], seconds),
        publisher(system) as send,
    ):
        for number in range(purges):
            there.append(await asyncio.to_thread(_live, system))
            await send([_delete_all(number)])
            await asyncio.sleep(seconds / purges)
    await case.judge(system, in_log_order=False)
    there.append(await asyncio.to_thread(_live, system))
    await publish(system, [_delete_all(purges)])
    await caught_up(system, 120)
    await case.judge(system, in_log_order=False)
    seen = await observe(system)
    assert seen.points == {}
    kinds = {tuple(entry.kind for entry in entries) for entries in seen.history.values()}
    assert (len(seen.history), kinds) == (adds, {(ChangeKind.ADDED, ChangeKind.DELETED)})
    removed_by = {id: int(entries[-1].request_id.removeprefix("all-")) for id, entries in seen.history.items()}
    assert [id for number, ids in enumerate(there) for id in ids if removed_by[id] > number] == []
    assert any(there[:-1]), "nothing was there before the last: the case shows nothing"
    await asyncio.gather(*(stop_cleanly(worker) for worker in workers))


def _live(system: System) -> set[UUID]:
    """The memories that are there now: read past our own code."""
    dsn = system.postgres.dsn.get_secret_value()
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM memories WHERE deleted_at IS NULL")
        return {UUID(id) for (id,) in cursor.fetchall()}


def _add(number: int) -> Message:
    ids = {"user_id": f"user-{number % 40}", "agent_id": "the-agent"}
    return message({"request_id": f"add-{number}", "op": "add", **ids, "text": "the same", "vector": _VECTOR})


def _delete_all(number: int) -> Message:
    return message({"request_id": f"all-{number}", "op": "delete_all", "agent_id": "the-agent"})


_VECTOR = [1.0] + [0.0] * 383
