"""A worker's own port: a real worker with nothing to do, whose stores are taken away and given back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from infra.onnx import Embedder
from tests.harness.link import Link
from tests.harness.scraped import assert_tells_what_runs, samples
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.worker_port import WorkerPort
from tests.harness.workers import WorkerProcess


@dataclass
class Idle:
    """A ready worker that reaches Postgres and Weaviate over links."""

    worker: WorkerProcess
    port: WorkerPort
    links: dict[str, Link]

    async def components(self) -> dict[str, float]:
        """What its metrics say of each component."""
        _, text = await self.port.get("/metrics")
        return {labels["component"]: up for labels, up in samples(text, "agentmem_worker_component_up")}

    async def counts_as_down(self, *components: str) -> None:
        """Wait until its metrics say that these components are down, and all others up."""
        expected = {name: float(name not in components) for name in ("postgres", "weaviate", "kafka")}

        async def told() -> bool:
            return await self.components() == expected

        await eventually(told, 120, f"the metrics have as down: {components}", self.worker.tail)


@pytest.fixture
async def idle(system: System) -> AsyncIterator[Idle]:
    dsn, port = urlsplit(system.postgres.dsn.get_secret_value()), WorkerPort(system)
    links = {"Postgres": Link(f"{dsn.hostname}:{dsn.port}"), "Weaviate": Link(system.weaviate.grpc)}
    for link in links.values():
        await link.up()
    address = f"{dsn.netloc.rpartition('@')[0]}@{links['Postgres'].address}"
    over_links = {
        "AGENTMEM_POSTGRES_DSN": dsn._replace(netloc=address).geturl(),
        "AGENTMEM_WEAVIATE_GRPC": links["Weaviate"].address,
    }
    worker = system.start_worker(environment=port.environment | over_links)
    await port.becomes_ready()
    yield Idle(worker, port, links)
    assert await worker.stop() == 0
    for link in links.values():
        await link.down()


@pytest.mark.parametrize("store", ["Postgres", "Weaviate"])
async def test_an_idle_worker_is_ready_only_while_its_store_is_there(idle: Idle, store: str) -> None:
    await idle.counts_as_down()
    await idle.links[store].down()
    await idle.port.has_problem(store, f"{store} is unavailable")
    # Only the one that is away is blamed, though Postgres knows which collection is to be asked.
    assert set(await idle.port.problems()) == {store}
    await idle.counts_as_down(store.lower())
    assert (await idle.port.get("/health/live"))[0] == 200
    await idle.links[store].up()
    await idle.port.becomes_ready()
    await idle.counts_as_down()


async def test_a_store_that_takes_calls_and_answers_none_is_a_problem_too(idle: Idle) -> None:
    idle.links["Postgres"].stalled = True
    # Told by our own patience or by that of the connection, whichever ends first.
    await idle.port.has_problem("Postgres")
    assert (await idle.components())["postgres"] == 0
    await idle.links["Postgres"].down()
    idle.links["Postgres"].stalled = False
    await idle.links["Postgres"].up()
    await idle.port.becomes_ready()


async def test_a_postgres_that_answers_nothing_does_not_hold_up_its_end(idle: Idle) -> None:
    idle.links["Postgres"].stalled = True
    await idle.port.has_problem("Postgres")
    assert await idle.worker.stop() == 0


async def test_its_metrics_say_what_runs_and_count_from_nothing(idle: Idle, embedder: Embedder) -> None:
    status, text = await idle.port.get("/metrics")
    assert status == 200
    assert_tells_what_runs(text, embedder.identity)
    results = {labels["result"]: value for labels, value in samples(text, "agentmem_worker_records_total")}
    assert results == dict.fromkeys(("applied", "repeated", "dead_lettered", "dropped"), 0)
