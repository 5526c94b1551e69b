"""Processes that outlive their starter: who they are, how they start, end, and are found again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local.files import write_private

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process for certain: the kernel gives its id to another one day, but not with the same start."""

    pid: int
    start: str  # boot, and clock ticks since it

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The process that has this id now; None when there is none or it is only waiting to be reaped."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name in brackets may hold anything, so the fields count from the last bracket.
        fields = stat.rpartition(")")[2].split()
        if fields[0] in ("Z", "X"):
            return None
        return cls(pid, f"{_BOOT_ID.read_text().strip()}/{fields[19]}")

    @classmethod
    def read(cls, path: Path) -> ProcessIdentity | None:
        """The process recorded in a pid file, if it is still that one that runs."""
        try:
            pid, start = path.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        identity = cls(int(pid), start)
        return identity if cls.of(identity.pid) == identity else None

    def write(self, path: Path) -> None:
        """Record the process in a pid file."""
        write_private(path, f"{self.pid} {self.start}\n")

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watch]:
        """Follow the process by a descriptor of the kernel, which can not come to mean another process."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield Watch(None)
            return
        try:
            # Opened by id: only now is it sure whom it shows.
            yield Watch(descriptor if ProcessIdentity.of(self.pid) == self else None)
        finally:
            os.close(descriptor)


class Watch:
    """A process being followed."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process still runs."""
        if self._descriptor is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    async def ended(self) -> None:
        """Return when the process has ended."""
        if self._descriptor is None:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.add_reader(self._descriptor, done.set)
        try:
            await done.wait()
        finally:
            loop.remove_reader(self._descriptor)


async def stop_process(identity: ProcessIdentity, number: signal.Signals, grace_s: float) -> None:
    """Ask the process to end; after ``grace_s`` seconds end it by force. Returns when it has ended."""
    async with identity.watched() as watch:
        watch.signal(number)
        try:
            async with asyncio.timeout(grace_s):
                await watch.ended()
        except TimeoutError:
            watch.signal(signal.SIGKILL)
            await watch.ended()


def spawn(
    argv: Sequence[str],
    *,
    prefix: Sequence[str] = (),
    env: Mapping[str, str],
    log: Path,
    cwd: Path,
    tied_by: signal.Signals | None,
) -> int:
    """Start a process in a session of its own, so that Ctrl-C reaches us alone; returns its id.

    ``tied_by``: the signal that the kernel sends it when this process dies, however that happens; None lets it
    live on. ``prefix`` is a command that runs its arguments as another user, which would undo an earlier tie.
    Call it from the main thread: to the kernel, the thread is what dies.
    """
    tie = () if tied_by is None else ("setpriv", "--pdeathsig", tied_by.name.removeprefix("SIG"), "--")
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own argument lists, no shell
            [*prefix, *tie, *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    # From here on it is followed by its descriptor and pid file, like those that another process started.
    process.returncode = 0
    return process.pid
