"""Stores that a test may stop, kill and start again: nobody else uses them."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from infra.local import kafka_broker, postgres, weaviate
from infra.local.cache import PartCache
from infra.local.files import stable_secret
from infra.local.progress import Progress
from infra.local.service import Service
from infra.local.settings import LocalSettings
from infra.local.stores import STORES, LocalStack

_NAME: Final = "chaos-"
_GRACE_S: Final = 20.0


class OwnStores:
    """Kafka, Postgres and Weaviate, each by its name. ``addresses`` are environment variables."""

    def __init__(self, stack: LocalStack, home: Path, progress: Progress, addresses: Mapping[str, str]) -> None:
        self.addresses = addresses
        self._stack = stack
        self._cache = PartCache(home, progress)

    async def stop(self, store: str) -> None:
        """Stop it as its operator would."""
        await self._stack.supervisor.stop([store], _GRACE_S)

    async def start(self, store: str) -> None:
        """Start it again on its data; returns when it answers."""
        await self._stack.start(await self._service(store))

    async def start_missing(self) -> None:
        """Start what a test left stopped."""
        for store in set(STORES) - self._stack.supervisor.running().keys():
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
    settings = LocalSettings(name=f"{_NAME}{os.getpid()}")
    _remove_remains(settings.home / "stacks")
    progress = Progress(Console(file=sys.__stderr__))
    stack = LocalStack(settings, Path.cwd(), progress, tied=True)
    try:
        yield OwnStores(stack, settings.home, progress, asyncio.run(stack.start_stores()))
    finally:
        asyncio.run(stack.stop())
        shutil.rmtree(stack.directory)


def _remove_remains(stacks: Path) -> None:
    for directory in stacks.glob(f"{_NAME}*"):
        pid = directory.name.removeprefix(_NAME)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(directory)
