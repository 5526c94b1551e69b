"""Stores that a test may stop, kill and start again: nobody else uses them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console

from infra.local import kafka_broker, postgres, weaviate
from infra.local.cache import PartCache
from infra.local.files import stable_secret
from infra.local.progress import Progress
from infra.local.service import Service
from infra.local.settings import LocalSettings
from infra.local.stores import STORES, LocalStack
from tests.stack import own_stack

_NAME: Final = "chaos-"
_GRACE_S: Final = 20.0


class OwnStores:
    """Kafka, Postgres and Weaviate, each by its name. ``addresses`` are environment variables."""

    def __init__(self, stack: LocalStack, addresses: Mapping[str, str]) -> None:
        self.addresses = addresses
        self._stack = stack
        self._cache = PartCache(LocalSettings().home, Progress(Console(file=sys.__stderr__)))

    async def stop(self, store: str) -> None:
        """Stop it as its operator would."""
        await self._stack.supervisor.stop([store], _GRACE_S)

    async def kill(self, store: str) -> None:
        """End it with SIGKILL; what it had started ends by itself."""
        process = psutil.Process(self._stack.supervisor.running()[store].pid)
        family = [process, *process.children(recursive=True)]
        process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, _GRACE_S)
        assert not alive

    async def start(self, store: str, environment: Mapping[str, str] | None = None) -> None:
        """Start it again on its data, with more in its environment if need be; returns when it answers."""
        service = await self._service(store)
        await self._stack.start(replace(service, env={**service.env, **(environment or {})}))

    async def start_kafka_behind(self, listener: int, advertised: int) -> None:
        """Start Kafka with one more port, for clients that shall reach it at the ``advertised`` one."""
        service = await self._service("kafka")
        _add_listener(Path(service.argv[-1]), listener, advertised)
        await self._stack.start(service)

    def data(self, store: str) -> Path:
        """The directory that holds its data."""
        return self._stack.directory / "data" / store

    def log(self, store: str) -> str:
        """What it wrote since its last start."""
        return self._stack.supervisor.log(store).read_text(errors="replace")

    def is_running(self, store: str) -> bool:
        return store in self._stack.supervisor.running()

    async def start_missing(self) -> None:
        """Start what a test left stopped."""
        for store in STORES:
            if not self.is_running(store):
                await self.start(store)

    async def _service(self, store: str) -> Service:
        directory, ports = self._stack.directory, self._stack.ports
        data = directory / "data" / store
        if store == "kafka":
            return await kafka_broker.service(Path(self.addresses["KAFKA_HOME"]), data, ports)
        if store == "postgres":
            return await postgres.service(data, ports, stable_secret(directory / "postgres-password"))
        assert store == "weaviate"
        home = await weaviate.build(self._cache)
        return await weaviate.service(home, data, ports, self.addresses["AGENTMEM_WEAVIATE_API_KEY"])


@contextmanager
def own_stores() -> Iterator[OwnStores]:
    """Start a set of stores that dies with this process at the latest, and leaves nothing."""
    with own_stack(_NAME) as (stack, addresses):
        yield OwnStores(stack, addresses)


def _add_listener(config: Path, listener: int, advertised: int) -> None:
    lines = dict(line.split("=", 1) for line in config.read_text().splitlines())
    lines["listeners"] += f",BEHIND://127.0.0.1:{listener}"
    lines["advertised.listeners"] += f",BEHIND://127.0.0.1:{advertised}"
    lines["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,BEHIND:PLAINTEXT"
    lines["inter.broker.listener.name"] = "PLAINTEXT"
    config.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
