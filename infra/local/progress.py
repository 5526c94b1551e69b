"""Telling the user what is going on and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console

_REMINDER_S = 30.0


class Progress:
    """Shows steps as they run: live with a spinner and a clock on a terminal, else as plain lines."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._running: dict[str, float] = {}
        self._status = console.status("") if console.is_terminal else None

    @asynccontextmanager
    async def step(self, what: str) -> AsyncIterator[None]:
        """Show ``what`` while the body runs, then how long it took. Steps may run side by side."""
        began = time.monotonic()
        self._running[what] = began
        if self._status is None:
            self._say(f"{what} ...")
        reminder = asyncio.create_task(self._remind(what, began))
        try:
            yield
        finally:
            reminder.cancel()
            del self._running[what]
            self._refresh()
        self._say(f"{what}: done in {time.monotonic() - began:.1f} s")

    async def _remind(self, what: str, began: float) -> None:
        while True:
            self._refresh()
            await asyncio.sleep(_REMINDER_S if self._status is None else 1.0)
            if self._status is None:
                self._say(f"{what} ... {time.monotonic() - began:.0f} s so far")

    def _refresh(self) -> None:
        if self._status is None:
            return
        if not self._running:
            self._status.stop()
            return
        now = time.monotonic()
        self._status.update(", ".join(f"{what} ({now - began:.0f} s)" for what, began in self._running.items()))
        self._status.start()

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
