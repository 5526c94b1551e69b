"""A worker as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.harness.waiting import eventually

#: The promise: a worker that is told to stop has stopped within this many seconds.
STOP_WITHIN_S = 25.0
_TAIL_LINES = 25


class WorkerProcess:
    """Started when made; its output goes to ``log``."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv, env=dict(environment), cwd=log.parent, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it with SIGKILL, if it still runs."""
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def stop(self, within_s: float = STOP_WITHIN_S) -> int:
        """Send SIGTERM and wait for the end; returns the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(within_s)

    async def ended(self, within_s: float) -> int:
        """Wait for the end; returns the exit code."""
        return await asyncio.to_thread(self._process.wait, within_s)

    async def says(self, text: str, within_s: float = 120) -> None:
        """Wait until it has logged this."""

        async def said() -> bool:
            assert self.code is None, self.tail()
            return text in self.text()

        await eventually(said, within_s, f"the worker says {text!r}", self.tail)

    async def stands_still(self) -> bool:
        """Whether it was stopped by a signal; it must not have ended."""
        assert self.code is None, self.tail()
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def text(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace")

    def tail(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self.text().splitlines()[-_TAIL_LINES:])
