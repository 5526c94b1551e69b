"""A bad network between the workers and all their stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import unused_port

from tests.harness.case import Case, stop_cleanly
from tests.harness.load import progressed, under_load
from tests.harness.own_stores import OwnStores
from tests.harness.proxy import Faults, Proxy
from tests.harness.system import System

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

KINDS = {
    "latency": Faults(latency_s=0.05),
    "loss": Faults(latency_s=0.005, loss=0.03, resent_after_s=1.0),
    "breaks": Faults(latency_s=0.005, broken=0.005),
}


@dataclass
class Network:
    """``environment`` leads a process through the proxies."""

    proxies: list[Proxy]
    environment: dict[str, str]

    def suffers(self, faults: Faults) -> None:
        for proxy in self.proxies:
            proxy.faults = faults


@pytest.fixture
async def network(breakable: OwnStores, breakable_system: System, case: Case) -> AsyncIterator[Network]:
    system, behind = breakable_system, unused_port()
    dsn, url = urlsplit(system.postgres.dsn.get_secret_value()), urlsplit(system.weaviate.url)
    targets = [f"127.0.0.1:{behind}", f"{dsn.hostname}:{dsn.port}", url.netloc, system.weaviate.grpc]
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(Proxy(t, case.random).listening()) for t in targets]
        # Kafka tells its clients where it is to be reached: they must be told of the proxy.
        await breakable.stop("kafka")
        await breakable.start_kafka_behind(behind, proxies[0].port)
        kafka, postgres, weaviate, grpc = (f"127.0.0.1:{proxy.port}" for proxy in proxies)
        address = dsn._replace(netloc=f"{dsn.netloc.rpartition('@')[0]}@{postgres}").geturl()
        environment = {
            "AGENTMEM_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "AGENTMEM_POSTGRES_DSN": address,
            "AGENTMEM_WEAVIATE_URL": f"http://{weaviate}",
            "AGENTMEM_WEAVIATE_GRPC": grpc,
        }
        yield Network(proxies, environment)


@pytest.mark.case("network-{kind}", full=True)
@pytest.mark.parametrize("kind", list(KINDS))
async def test_a_bad_network(breakable_system: System, network: Network, case: Case, kind: str) -> None:
    system, seconds = breakable_system, case.scaled(20, 10)
    workers = [system.start_worker(environment=network.environment) for _ in range(2)]
    async with under_load(system, list(case.work(poison=0.01).messages(case.scaled(3_000, 600))), seconds):
        await progressed(system, 50)
        network.suffers(KINDS[kind])
        await asyncio.sleep(seconds)
        network.suffers(Faults())
        await case.recovers(system)
    await case.judge(system)
    faults = KINDS[kind]
    assert not faults.loss or all(proxy.lost for proxy in network.proxies[:2])
    assert not faults.broken or all(proxy.breaks for proxy in network.proxies[:2])
    # Before the proxies go: a worker that leaves tells Kafka so.
    await stop_cleanly(*workers)
