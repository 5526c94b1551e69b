"""One process of a stack, and the running of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.local.errors import LocalStackError
from infra.local.process import ProcessIdentity, spawn, stop_process

_READY_POLL_S: Final = 0.1
_LOG_LINES: Final = 15
#: SIGINT is Postgres's fast shutdown, which ends sessions; at SIGTERM it would wait for its clients to leave.
_STOP_SIGNALS: Final = {"postgres": signal.SIGINT}


@dataclass(frozen=True)
class Service:
    """What to run and how to tell that it answers. ``ready`` is asked again and again until it says yes."""

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict)
    #: Put before ``argv`` and before what ties the process to us (which a change of user would undo).
    prefix: tuple[str, ...] = ()


class Supervisor:
    """Runs the services of one stack directory, also those that an earlier process started there.

    ``tied``: the services die with this process, whatever ends it.
    """

    def __init__(self, directory: Path, *, tied: bool, start_timeout_s: float) -> None:
        self.directory = directory
        self._tied = tied
        self._start_timeout_s = start_timeout_s

    def recorded(self) -> list[str]:
        """The names of the services that were started and not stopped."""
        return [path.stem for path in sorted(self.directory.glob("run/*.pid"))]

    def running(self) -> dict[str, ProcessIdentity]:
        """The services that run now, by name."""
        found = {name: ProcessIdentity.read(self._pid_file(name)) for name in self.recorded()}
        return {name: identity for name, identity in found.items() if identity is not None}

    def log(self, name: str) -> Path:
        """The file that holds the service's output since its last start."""
        return self.directory / "logs" / f"{name}.log"

    async def start(self, service: Service) -> None:
        """Start a service and return when it answers; raise when it ends or takes too long."""
        log = self.log(service.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        pid = spawn(
            service.argv,
            prefix=service.prefix,
            env={**os.environ, **service.env},
            log=log,
            cwd=self.directory,
            tied_by=_STOP_SIGNALS.get(service.name, signal.SIGTERM) if self._tied else None,
        )
        identity = ProcessIdentity.of(pid)
        if identity is None:
            raise self._failure(service.name, "ended at once")
        identity.write(self._pid_file(service.name))
        async with identity.watched() as watch:
            ended = asyncio.create_task(watch.ended())
            try:
                async with asyncio.timeout(self._start_timeout_s):
                    while not await service.ready():
                        await asyncio.wait({ended}, timeout=_READY_POLL_S)
                        if ended.done():
                            raise self._failure(service.name, "ended while it started")
            except TimeoutError:
                raise self._failure(service.name, f"did not answer within {self._start_timeout_s:g} s") from None
            finally:
                ended.cancel()

    async def first_end(self) -> LocalStackError:
        """Wait until one of the running services ends; the error that says which."""

        async def follow(name: str, identity: ProcessIdentity) -> str:
            async with identity.watched() as watch:
                await watch.ended()
            return name

        tasks = [asyncio.create_task(follow(*item)) for item in self.running().items()]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return self._failure(done.pop().result(), "ended unexpectedly")
        finally:
            for task in tasks:
                task.cancel()

    async def stop(self, names: Iterable[str], grace_s: float) -> None:
        """Stop these services side by side, by force after ``grace_s`` seconds."""
        running = self.running()
        await asyncio.gather(
            *(
                stop_process(running[name], _STOP_SIGNALS.get(name, signal.SIGTERM), grace_s)
                for name in names
                if name in running
            )
        )
        for name in names:
            self._pid_file(name).unlink(missing_ok=True)

    def _pid_file(self, name: str) -> Path:
        return self.directory / "run" / f"{name}.pid"

    def _failure(self, name: str, what: str) -> LocalStackError:
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        text = "\n".join(lines)
        if "No space left on device" in text:
            what += " because the disk is full"
        elif "ddress already in use" in text:
            what += " because another program took its port"
        return LocalStackError(f"{name} {what}. The end of its log ({log}):\n{text}")
