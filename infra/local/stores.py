"""The three stores and the model of one local stack: Kafka, Postgres, Weaviate, in a directory of its own."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from infra.local import kafka_broker, model, ports, postgres, tools, weaviate
from infra.local.cache import PartCache
from infra.local.errors import LocalStackError
from infra.local.files import require_space, stable_secret, try_lock
from infra.local.process import ProcessIdentity, stop_process
from infra.local.progress import Progress
from infra.local.service import Service, Supervisor
from infra.local.settings import LocalSettings

STORES: Final = ("kafka", "postgres", "weaviate")
DATABASE: Final = "agentmem"
_GRACE_S: Final = 20.0
_OWNER_GRACE_S: Final = 60.0
_DATA_MIB: Final = 500


def stack_name(project: Path) -> str:
    """The name of a project's stack: the folder's, and a part of a hash that tells folders of one name apart."""
    folder = re.sub(r"[^A-Za-z0-9._-]+", "-", project.name).strip("-._")[:40] or "stack"
    return f"{folder}-{hashlib.sha256(os.fsencode(project)).hexdigest()[:8]}"


class LocalStack:
    """One stack: its directory, its ports and the processes that run in it.

    ``tied``: what is started dies with this process.
    """

    def __init__(self, settings: LocalSettings, project: Path, progress: Progress, *, tied: bool = False) -> None:
        self.name = settings.name or stack_name(project.resolve())
        self.directory = settings.home / "stacks" / self.name
        self.ports: dict[str, int] = {}
        self.progress = progress
        self.supervisor = Supervisor(self.directory, tied=tied, start_timeout_s=settings.start_timeout_s)
        self._settings = settings

    @asynccontextmanager
    async def owned(self) -> AsyncIterator[None]:
        """Be the one process that starts and stops things here; raise when another is."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = try_lock(self._lock)
        if descriptor is None:
            raise LocalStackError(
                f"Another process runs or starts the stack {self.name}: stop it with Ctrl-C there or with "
                "agentmem stack down, or give this one another name (AGENTMEM_LOCAL_NAME)."
            )
        try:
            owner = ProcessIdentity.of(os.getpid())
            assert owner is not None
            owner.write(self._owner)
            yield
        finally:
            self._owner.unlink(missing_ok=True)
            os.close(descriptor)

    async def end_owner(self) -> bool:
        """End the process that runs this stack in the foreground or is starting it; whether there was one."""
        descriptor = try_lock(self._lock) if self._lock.exists() else None
        if descriptor is not None:
            os.close(descriptor)
            return False
        owner = ProcessIdentity.read(self._owner)
        if owner is None:
            return False
        await stop_process(owner, signal.SIGTERM, _OWNER_GRACE_S)
        return True

    @property
    def _lock(self) -> Path:
        return self.directory / "lock"

    @property
    def _owner(self) -> Path:
        return self.directory / "owner.pid"

    async def start_stores(self) -> dict[str, str]:
        """Get what is missing, start all stores, make the database; their addresses as environment variables."""
        settings = self._settings
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        require_space(self.directory, _DATA_MIB, "a stack")
        cache = PartCache(settings.home, self.progress)
        await tools.java()
        kafka_home, weaviate_home, model_home = await together(
            kafka_broker.fetch(cache), weaviate.build(cache), model.fetch(cache)
        )
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        await postgres.release(data / "postgres")
        self.ports = await ports.assign_ports(
            settings.home / "stacks",
            self.name,
            {
                "kafka_port": settings.kafka_port,
                "postgres_port": settings.postgres_port,
                "weaviate_port": settings.weaviate_port,
                "weaviate_grpc_port": settings.weaviate_grpc_port,
                "gateway_port": settings.gateway_port,
                **{f"worker_{number}_port": None for number in range(1, settings.workers + 1)},
            },
        )
        password = stable_secret(self.directory / "postgres-password")
        weaviate_key = stable_secret(self.directory / "weaviate-key")
        await together(
            self._start(kafka_broker.service(kafka_home, data / "kafka", self.ports)),
            self._start(weaviate.service(weaviate_home, data / "weaviate", self.ports, weaviate_key)),
            self._start(postgres.service(data / "postgres", self.ports, password)),
        )
        await asyncio.to_thread(_ensure_database, postgres.dsn_of(self.ports, password))
        return {
            "AGENTMEM_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports['kafka_port']}",
            "AGENTMEM_POSTGRES_DSN": postgres.dsn_of(self.ports, password, DATABASE),
            "AGENTMEM_WEAVIATE_URL": f"http://127.0.0.1:{self.ports['weaviate_port']}",
            "AGENTMEM_WEAVIATE_GRPC": f"127.0.0.1:{self.ports['weaviate_grpc_port']}",
            "AGENTMEM_WEAVIATE_API_KEY": weaviate_key,
            "AGENTMEM_EMBEDDING_MODEL": str(model_home),
            "KAFKA_HOME": str(kafka_home),
            "WEAVIATE_HOME": str(weaviate_home),
        }

    async def start(self, service: Service) -> None:
        """Start one process beside the stores and wait until it answers."""
        async with self.progress.step(f"Starting {service.name}"):
            await self.supervisor.start(service)

    async def _start(self, service: Coroutine[Any, Any, Service]) -> None:
        await self.start(await service)

    async def stop(self) -> bool:
        """Stop all that runs here: first what uses the stores, then the stores. Whether anything ran."""
        running, recorded = self.supervisor.running(), self.supervisor.recorded()
        users = [name for name in running if name not in STORES]
        for names in (users, [name for name in STORES if name in running]):
            if names:
                async with self.progress.step(f"Stopping {', '.join(names)}"):
                    await self.supervisor.stop(names, _GRACE_S)
        await self.supervisor.stop(recorded, _GRACE_S)  # forgets what had ended by itself
        return bool(running)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all side by side; when one fails, end the others and raise its error."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _ensure_database(dsn: str) -> None:
    connection = psycopg2.connect(dsn)
    try:
        connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        connection.close()
