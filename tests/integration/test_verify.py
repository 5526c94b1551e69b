"""The verification: what it finds, what it mends, and what it takes for a write in flight."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import text

from agentmem.exit_codes import ExitCode
from agents.maintenance.drift import Drift
from agents.maintenance.sweep import Sweep
from agents.maintenance.verify import Report, Verification
from agents.maintenance.verifying import Verifying
from agents.projection import Projection, open_projection
from agents.settings import WorkerSettings
from agents.stages.apply import apply
from infra.postgres import PostgresSettings
from infra.postgres.collections import Pass
from infra.telemetry.metrics import VERIFY_CHECKED, VERIFY_DRIFT, VERIFY_REPAIRED
from infra.weaviate import Point, VectorIndex, WeaviateSettings
from schemas.memories import Memory
from schemas.problems import BatchRejectedError, StoreUnavailableError
from schemas.requests import MemoryRequest
from schemas.scope import Scope
from tests.acceptance.command import Agentmem
from tests.harness.items import item
from tests.harness.kafka import caught_up, has_members
from tests.harness.link import Link
from tests.harness.load import progressed, under_load
from tests.harness.system import System
from tests.harness.systems import embedding_settings
from tests.harness.waiting import eventually
from tests.harness.workload import Workload, seed

_SETTLE_S = 0.1


async def add(both: Projection, count: int, project: str = "default", **fields: Any) -> list[Memory]:
    items = [
        item(
            MemoryRequest.model_validate(
                {"request_id": str(uuid4()), "op": "add", "project": project, "user_id": "alice"}
                | {"text": f"likes tea {number}", **fields}
            )
        )
        for number in range(count)
    ]
    applied, _ = apply(both.database, items)
    memories = [one.history[0].memory for one in applied]
    await both.projecting.project([memory.id for memory in memories], {})
    return memories


async def verified(both: Projection, *, repair: bool = False, project: str | None = None) -> Report:
    verification = Verification(both.database, both.projecting, _SETTLE_S)
    index = await both.projecting.serving()
    return await verification.run(index, project, repair=repair, tell=lambda _: None)


def unit_vector(first: float) -> list[float]:
    return [first, (1 - first * first) ** 0.5, *[0.0] * 382]


async def harm(both: Projection, index: VectorIndex, project: str) -> dict[UUID, Drift]:
    """One memory for each kind of drift; which has which."""
    memories = await add(both, 4, project)
    [own_vector] = await add(both, 1, project, vector=unit_vector(1.0))
    points = await index.points([memory.id for memory in memories])
    missing, older, foreign, bare = (points[memory.id] for memory in memories)
    stranger = Point(uuid4(), 1, Scope(project, "alice"), missing.vector)
    await index.delete([missing.id])
    await index.upsert([replace(older, version=7), replace(foreign, scope=Scope(project, "bob")), stranger])
    await index.upsert([Point(own_vector.id, 1, own_vector.scope, unit_vector(0.5))])
    await index.delete([bare.id])
    await index._collection.data.insert({"project": project, "user_id": "alice", "version": 1}, uuid=bare.id)
    return {
        missing.id: Drift.MISSING,
        older.id: Drift.STALE,
        foreign.id: Drift.STALE,
        bare.id: Drift.NO_VECTOR,
        own_vector.id: Drift.UNSEARCHABLE,
        stranger.id: Drift.EXTRA,
    }


async def test_every_kind_of_drift_is_found_and_mended(both: Projection) -> None:
    index = await both.projecting.serving()
    await add(both, 600)
    harmed = await harm(both, index, "default")

    found = await verified(both)
    assert {one.id: one.drift for one in found.named} == harmed
    assert (found.checked, found.drift, found.repaired) == (605, Counter(harmed.values()), 0)

    mended = await verified(both, repair=True)
    assert (mended.drift, mended.repaired, mended.remaining) == (Counter(harmed.values()), len(harmed), 0)
    again = await verified(both)
    assert (again.checked, again.drift) == (605, Counter())


async def test_of_one_project_only_that_one_is_told(both: Projection) -> None:
    index = await both.projecting.serving()
    ours = await harm(both, index, "ours")
    await harm(both, index, "theirs")

    found = await verified(both, repair=True, project="ours")

    assert (found.checked, {one.id for one in found.named}, found.repaired) == (5, set(ours), len(ours))
    assert (await verified(both, project="ours")).drift == Counter()
    assert (await verified(both)).drift == Counter(ours.values())


async def test_a_write_in_flight_is_no_drift(both: Projection) -> None:
    """Rows are applied first and projected while the verification waits to look again."""
    index = await both.projecting.serving()
    verification = Verification(both.database, both.projecting, _SETTLE_S)
    memories = await add(both, 3)
    await index.delete([memory.id for memory in memories])
    _, suspects = await verification.rows_after(index, None, 10)
    assert {one.id for one in suspects} == {memory.id for memory in memories}

    await both.projecting.project([memory.id for memory in memories[:2]], {})

    assert [one.id for one in await verification.judge(index, suspects)] == [memories[2].id]


async def test_a_store_that_lost_everything_is_filled_again(both: Projection) -> None:
    memories = await add(both, 1_100)
    index = await both.projecting.serving()
    await index.drop()
    await index.ensure(both.model)

    report = await verified(both, repair=True)

    assert report.drift == {Drift.MISSING: len(memories)}
    assert (await verified(both)).drift == Counter()


async def test_a_memory_that_the_index_refuses_holds_up_no_other(both: Projection) -> None:
    """Its own vector is of another model's length, as after a change of the model."""
    index = await both.projecting.serving()
    memories = await add(both, 5)
    ids = sorted(memory.id for memory in memories)
    with both.database._connection() as connection:
        strange = "UPDATE memories SET vector = '{1,2,3}', version = 2, changed_at = clock_timestamp()"
        connection.execute(text(f"{strange} WHERE id = :id"), {"id": ids[1]})

    async def lost_and_found(mend: Callable[[], Awaitable[Any]]) -> Any:
        await index.delete([ids[0], ids[1], ids[4]])
        told = await mend()
        assert set(await index.versions(ids)) == {*ids} - {ids[1]}
        return told

    report = await lost_and_found(lambda: verified(both, repair=True))
    assert (report.drift.total(), report.repaired, report.remaining) == (3, 2, 1)
    settings = WorkerSettings(sweep_grace_s=0, sweep_interval_s=60)
    assert await lost_and_found(Sweep(both.database, both.projecting, settings).sweep) == 2
    repaired = VERIFY_REPAIRED._value.get()
    assert await lost_and_found(lambda: Verifying(both.database, both.projecting, settings).step(100_000))
    assert VERIFY_REPAIRED._value.get() - repaired == 2
    # The pass goes on: next are the objects.
    assert both.database.collections.claim_verification(index.collection, lease_s=5) == Pass(objects=True)


def told() -> dict[str, float]:
    [family] = VERIFY_DRIFT.collect()
    return {one.labels["drift"]: one.value for one in family.samples if one.name.endswith("_total")}


async def test_workers_share_one_pass_and_mend_what_they_find(both: Projection) -> None:
    settings = WorkerSettings(sweep_grace_s=_SETTLE_S)
    VERIFY_DRIFT.clear()
    workers = [Verifying(both.database, both.projecting, settings) for _ in range(2)]
    # All kinds are told from the beginning: to an alert a counter's first value is no increase.
    assert told() == dict.fromkeys(Drift, 0)
    index = await both.projecting.serving()
    await add(both, 450)
    harmed = await harm(both, index, "default")
    checked, repaired = (counter._value.get() for counter in (VERIFY_CHECKED, VERIFY_REPAIRED))

    async def verified_at() -> object:
        [collection] = await asyncio.to_thread(both.database.collections.of, both.index.collection)
        return collection.verified_at

    steps = 0
    for worker in cycle(workers):
        steps += await worker.step(100_000)
        if await verified_at() is not None:
            break

    assert steps == 6  # 455 rows, then as many objects, at 200 each time
    assert VERIFY_CHECKED._value.get() - checked == 455
    assert VERIFY_REPAIRED._value.get() - repaired == len(harmed)
    assert told() == Counter(harmed.values())
    assert (await verified(both)).drift == Counter()


async def test_a_page_whose_worker_died_is_done_by_another_when_its_time_is_up(both: Projection) -> None:
    collections, name = both.database.collections, both.index.collection
    assert collections.claim_verification(name, lease_s=5) == Pass()
    assert collections.claim_verification(name, lease_s=60) is None

    async def given() -> bool:
        return collections.claim_verification(name, lease_s=60) is not None

    await eventually(given, 30, "the page is given to another")


async def test_a_page_that_weaviate_did_not_answer_is_due_again_soon(
    both: Projection, postgres_settings: PostgresSettings, weaviate_settings: WeaviateSettings, model_dir: Path
) -> None:
    """Its worker lives, so nobody waits for the end of its lease."""
    link = Link(weaviate_settings.grpc)
    await link.up()
    behind = weaviate_settings.model_copy(update={"grpc": link.address})
    async with open_projection(postgres_settings, behind, embedding_settings(model_dir)) as worker:
        await add(both, 3)
        await link.down()
        verifying = Verifying(worker.database, worker.projecting, WorkerSettings())
        with pytest.raises(StoreUnavailableError):
            await verifying.step(100_000)
    await eventually(lambda: due(both), 30, "the page is due again")


async def test_a_page_that_weaviate_refuses_to_compare_is_due_again_soon(both: Projection) -> None:
    await add(both, 1, vector=unit_vector(1.0))
    with both.database._connection() as connection:
        connection.execute(text("UPDATE memories SET vector = '{0.5}'"))
    with pytest.raises(BatchRejectedError):
        await Verifying(both.database, both.projecting, WorkerSettings()).step(100_000)
    await eventually(lambda: due(both), 30, "the page is due again")


async def due(both: Projection) -> bool:
    """Whether the first page is given to who asks."""
    return both.database.collections.claim_verification(both.index.collection, lease_s=60) == Pass()


@pytest.mark.chaos
async def test_the_command_beside_writes(system: System) -> None:
    """Under load it finds nothing; afterwards what was harmed, and says so by its exit code."""
    work = Workload(Random(seed()), 384)
    # The worker itself is to mend nothing here.
    worker = system.start_worker({"worker.verify_rows_per_s": "0", "worker.sweep_interval_s": "86400"})
    await has_members(system, 1)
    command = Agentmem(system.folder, system.environment())
    async with under_load(system, list(work.messages(3_000)), 20):
        await progressed(system, 300)
        during = await asyncio.to_thread(command, "verify", "--json", "--settle", "15")
        assert during.code == ExitCode.OK, (during.out, during.err, worker.tail())
    await caught_up(system, 120)

    settings = system.weaviate
    index = VectorIndex(settings)
    await index.open()
    harmed = [UUID(str(item.uuid)) for item in (await index._collection.query.fetch_objects(limit=5)).objects]
    await index.delete(harmed)
    await index.close()
    found = await asyncio.to_thread(command, "verify", "--json", "--settle", "0.5")
    assert found.code == ExitCode.FAILED
    assert orjson.loads(found.out)["drift"] == {"missing": 5}
    assert {one["memory_id"] for one in orjson.loads(found.out)["examples"]} == set(map(str, harmed))
    only_said = await asyncio.to_thread(command, "verify", "--repair", "--dry-run", "--settle", "0.5")
    assert only_said.code == ExitCode.FAILED
    mended = await asyncio.to_thread(command, "verify", "--repair", "--json", "--settle", "0.5")
    assert mended.code == ExitCode.OK
    assert orjson.loads(mended.out)["repaired"] == 5
    clean = await asyncio.to_thread(command, "verify", "--settle", "0.5")
    assert (clean.code, "no drift" in clean.err) == (ExitCode.OK, True)
