"""Weaviate that answers slowly, not in time, or only in part."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.case import Case, stop_cleanly
from tests.harness.grpc_proxy import WeaviateProxy
from tests.harness.kafka import publish
from tests.harness.load import progressed
from tests.harness.system import System
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.fixture
async def weaviate(system: System, case: Case) -> AsyncIterator[WeaviateProxy]:
    """Between the workers and Weaviate."""
    async with WeaviateProxy(system.weaviate.grpc, case.random).listening() as proxy:
        yield proxy


def _behind(proxy: WeaviateProxy) -> dict[str, str]:
    return {"AGENTMEM_WEAVIATE_GRPC": f"127.0.0.1:{proxy.port}"}


@pytest.mark.case("weaviate-slow", full=True)
async def test_five_seconds_a_batch(system: System, case: Case, weaviate: WeaviateProxy) -> None:
    weaviate.after_s = 5.0
    await publish(system, case.work(poison=0.01).messages(case.scaled(2_000, 400)))
    workers = [system.start_worker(environment=_behind(weaviate)) for _ in range(2)]
    await progressed(system, case.scaled(1_200, 200), 200)
    weaviate.after_s = 0.0
    await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(*workers)


@pytest.mark.case("weaviate-deadline")
async def test_a_deadline_that_passes_after_weaviate_has_accepted(
    system: System, case: Case, weaviate: WeaviateProxy
) -> None:
    """Every batch is stored, and nobody hears of it; later the same batches come again."""
    weaviate.after_s = 3.0
    await publish(system, case.work(poison=0.01).messages(case.scaled(3_000, 600)))
    worker = system.start_worker({"weaviate.write_timeout_s": "1"}, _behind(weaviate))
    tries = case.scaled(12, 4)

    async def tried() -> bool:
        return weaviate.batches >= tries

    await eventually(tried, 120, f"{tries} tries", system.logs)
    weaviate.after_s = 0.0
    await case.recovers(system)
    await case.judge(system)
    assert "took longer than 1 s" in worker.text()
    await stop_cleanly(worker)


@pytest.mark.case("weaviate-partial")
async def test_some_objects_of_a_batch_are_refused(system: System, case: Case, weaviate: WeaviateProxy) -> None:
    weaviate.refused = 0.02
    await publish(system, case.work(poison=0.01).messages(case.scaled(4_000, 800)))
    worker = system.start_worker({"window.max_records": "50"}, _behind(weaviate))
    await progressed(system, case.scaled(2_000, 400), 200)
    weaviate.refused = 0.0
    await case.recovers(system)
    await case.judge(system)
    assert weaviate.refusals
    await stop_cleanly(worker)
