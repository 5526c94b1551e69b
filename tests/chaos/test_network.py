"""A bad network between the workers and all their stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import unused_port

from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import has_members
from tests.harness.load import progressed, under_load
from tests.harness.own_stores import OwnStores
from tests.harness.proxy import Faults, Proxy
from tests.harness.system import System
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

KINDS = {
    "latency": Faults(latency_s=0.05),
    "loss": Faults(latency_s=0.005, loss=0.03, resent_after_s=1.0),
    "breaks": Faults(latency_s=0.005, broken=0.01),
}


@dataclass
class Network:
    """A proxy before each store, by its name; ``environment`` leads a process through them."""

    proxies: dict[str, Proxy]
    environment: dict[str, str]

    @property
    def busy(self) -> dict[str, Proxy]:
        """Those that have to do under load: Weaviate's REST port is asked at the start only."""
        return {name: proxy for name, proxy in self.proxies.items() if name != "weaviate"}

    def suffers(self, faults: Faults) -> None:
        for proxy in self.proxies.values():
            proxy.faults = faults


@pytest.fixture
async def network(breakable: OwnStores, breakable_system: System, case: Case) -> AsyncIterator[Network]:
    system, behind = breakable_system, unused_port()
    dsn, url = urlsplit(system.postgres.dsn.get_secret_value()), urlsplit(system.weaviate.url)
    targets = {
        "kafka": f"127.0.0.1:{behind}",
        "postgres": f"{dsn.hostname}:{dsn.port}",
        "weaviate": url.netloc,
        "weaviate-grpc": system.weaviate.grpc,
    }
    async with AsyncExitStack() as stack:
        proxies = {
            name: await stack.enter_async_context(Proxy(target, case.random).listening())
            for name, target in targets.items()
        }
        # Kafka tells its clients where it is to be reached: they must be told of the proxy.
        await breakable.stop("kafka")
        await breakable.start_kafka_behind(behind, proxies["kafka"].port)
        kafka, postgres, weaviate, grpc = (f"127.0.0.1:{proxy.port}" for proxy in proxies.values())
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
    system, seconds, faults = breakable_system, case.scaled(20, 10), KINDS[kind]
    workers = [system.start_worker(environment=network.environment) for _ in range(2)]
    messages = list(case.work(poison=0.01).messages(case.scaled(6_000, 1_200)))
    # Longer than it takes, so that there is load to the end.
    async with under_load(system, messages, 4 * seconds, at_once=20, rest_at_end=True):
        await progressed(system, 50)
        network.suffers(faults)
        await asyncio.sleep(seconds)
        for name, proxy in network.busy.items():
            await eventually(partial(_suffered, proxy, faults), 120, f"the way to {name} was bad", system.logs)
        network.suffers(Faults())
        await case.recovers(system)
    await case.judge(system)
    # Before the proxies go: a worker that leaves tells Kafka so.
    await stop_cleanly(*workers)


async def _suffered(proxy: Proxy, faults: Faults) -> bool:
    return bool(proxy.late and (proxy.lost or not faults.loss) and (proxy.breaks or not faults.broken))


@pytest.mark.case("network-silent", full=True)
async def test_connections_go_silent_and_stay_open(breakable_system: System, network: Network, case: Case) -> None:
    """One store after the other, for longer than a session of the group; then half of the connections break.

    Silence keeps no worker from its end.
    """
    system = breakable_system
    workers = [system.start_worker(environment=network.environment) for _ in range(2)]
    messages = list(case.work(poison=0.01).messages(case.scaled(3_000, 900)))
    await has_members(system, 2)
    # Longer than it takes, so that there is load to the end.
    async with under_load(system, messages, 240, at_once=20, rest_at_end=True):
        for name, proxy in network.busy.items():
            await progressed(system, 50)
            end = asyncio.Event()
            proxy.faults = Faults(silent_until=end)
            await eventually(partial(_holds, proxy), 120, f"{name} is silent to some", system.logs)
            await asyncio.sleep(case.scaled(20, 10))
            await stop_cleanly(workers.pop())
            end.set()
            workers.append(system.start_worker(environment=network.environment))
            await case.recovers(system)
    await case.judge(system)
    await stop_cleanly(*workers)


async def _holds(proxy: Proxy) -> bool:
    return proxy.held > 1
