"""The whole of AgentMem on one machine, for development: the local stores, and a worker and a gateway on them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp

from agentmem.invocation import DEV_ENV, Invocation
from agentmem.settings import Settings
from infra.local.files import write_private
from infra.local.progress import Progress
from infra.local.service import Service
from infra.local.stores import STORES, LocalStack, together
from infra.postgres import Database
from infra.postgres.keys import SCOPES
from infra.postgres.migrate import upgrade
from schemas.requests import DEFAULT_PROJECT
from streams.topics import ensure_topics

_KEY_NAME: Final = "development"
_ANSWER_WITHIN: Final = aiohttp.ClientTimeout(total=2)


class DevStack:
    """The stack of the project in a folder. ``tied``: its processes die with this one."""

    def __init__(self, invocation: Invocation, project: Path, progress: Progress, *, tied: bool = False) -> None:
        self._invocation = invocation
        self._project = project
        self._workers = invocation.settings().local.workers
        self.local = LocalStack(invocation.settings().local, project, progress, tied=tied)

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses of the running stack, as environment variables; empty when it is down."""
        if not self._addresses.exists():
            return {}
        return dict(line.split("=", 1) for line in self._addresses.read_text().splitlines())

    def services(self) -> dict[str, dict[str, Any]]:
        """What is, or before a crash was, running: process id, whether it still runs, log."""
        running = self.local.supervisor.running()
        return {
            name: {
                "running": name in running,
                "pid": running[name].pid if name in running else None,
                "log": str(self.local.supervisor.log(name)),
            }
            for name in self.local.supervisor.recorded()
        }

    def is_up(self, *, stores_only: bool) -> bool:
        """Whether exactly what is asked for runs."""
        wanted = set(STORES) if stores_only else {*STORES, "gateway", *self._worker_names()}
        return bool(self.addresses) and set(self.local.supervisor.running()) == wanted

    @asynccontextmanager
    async def whole(self) -> AsyncIterator[None]:
        """Own the stack; when the body fails or is cancelled, nothing of it stays up."""
        async with self.local.owned():
            try:
                yield
            except BaseException:
                await self.down()
                raise

    async def up(self, *, stores_only: bool = False) -> dict[str, str]:
        """Start everything anew, inside :meth:`whole`; the addresses, which are written down too."""
        await self.down()
        addresses = await self.local.start_stores()
        if not stores_only:
            addresses |= {"AGENTMEM_URL": f"http://127.0.0.1:{self.local.ports['gateway_port']}"}
            addresses |= {"AGENTMEM_WORKER_PORT": str(self.local.ports["worker_1_port"])}
            addresses |= {"AGENTMEM_API_KEY": await self._prepare(addresses)}
            await self._start_services(addresses)
        text = "".join(f"{name}={value}\n" for name, value in sorted(addresses.items()))
        write_private(self._addresses, text)
        write_private(self._project_note, str(self._project))
        write_private(self._project / DEV_ENV, text)
        return addresses

    async def down(self) -> bool:
        """Stop everything that runs, also what a crash left, and take the addresses back. Whether anything ran."""
        ran = await self.local.stop()
        if self._addresses.exists():
            dev_env = Path(self._project_note.read_text()) / DEV_ENV
            # Another stack of the same folder may have written its own since.
            if dev_env.exists() and dev_env.read_text() == self._addresses.read_text():
                dev_env.unlink()
            self._addresses.unlink()
        return ran

    async def _prepare(self, addresses: Mapping[str, str]) -> str:
        """Migrate and make the topics; the development API key, the same one for as long as it is valid."""
        settings = self._settings(addresses)
        async with self.local.progress.step("Preparing the database and the topics"):
            await asyncio.to_thread(upgrade, settings.postgres)
            await ensure_topics(settings.kafka)
            return await asyncio.to_thread(self._api_key, settings)

    def _api_key(self, settings: Settings) -> str:
        path = self.local.directory / "api-key"
        database = Database(settings.postgres)
        try:
            known = database.api_key(path.read_text()) if path.exists() else None
            if known is not None and known.scopes == frozenset(SCOPES):
                return path.read_text()
            write_private(path, database.create_api_key(DEFAULT_PROJECT, _KEY_NAME, SCOPES))
            return path.read_text()
        finally:
            database.close()

    async def _start_services(self, addresses: Mapping[str, str]) -> None:
        env = {**addresses, "AGENTMEM_LOG_FORMAT": "json"}
        command = (sys.executable, "-m", "agentmem", *_arguments(self._invocation))
        await together(
            *(
                self.local.start(Service(name, (*command, *arguments), partial(_is_ready, port), env))
                for name, port, arguments in self._commands()
            )
        )

    def _commands(self) -> Iterator[tuple[str, int, tuple[str, ...]]]:
        """What runs on the stores: its name, its port, and the command with which it listens there."""
        port = self.local.ports["gateway_port"]
        yield "gateway", port, ("gateway", "--host", "127.0.0.1", "--port", str(port))
        for number, name in enumerate(self._worker_names(), 1):
            port = self.local.ports[f"worker_{number}_port"]
            yield name, port, ("--set", "worker.host=127.0.0.1", "--set", f"worker.port={port}", "worker")

    def _settings(self, addresses: Mapping[str, str]) -> Settings:
        return self._invocation.settings(
            kafka__bootstrap_servers=addresses["AGENTMEM_KAFKA_BOOTSTRAP_SERVERS"],
            postgres__dsn=addresses["AGENTMEM_POSTGRES_DSN"],
        )

    def _worker_names(self) -> list[str]:
        return [f"worker-{number}" for number in range(1, self._workers + 1)]

    @property
    def _addresses(self) -> Path:
        return self.local.directory / "addresses.env"

    @property
    def _project_note(self) -> Path:
        return self.local.directory / "project"


def _arguments(invocation: Invocation) -> list[str]:
    """The common options of this call, for the commands that it starts."""
    config = ["--config", str(invocation.config)] if invocation.config else []
    return config + [part for pair in invocation.overrides.items() for part in ("--set", "=".join(pair))]


async def _is_ready(port: int) -> bool:
    """Whether the gateway or worker with this port says that it can do its work."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_ANSWER_WITHIN) as session,
            session.get(f"http://127.0.0.1:{port}/health/ready") as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
