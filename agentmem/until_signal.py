"""Running a coroutine that cleans up after itself when the user, or the system, asks it to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from agentmem.exit_codes import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_until_signal(work: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    """Run ``work``; SIGINT, SIGTERM or SIGHUP cancels it, once: its cleaning up is not disturbed by more of them.

    Returns what it returns, and ``INTERRUPTED`` when it lets the cancellation pass.
    """

    async def main() -> ExitCode:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(work)
        asked = False

        def end() -> None:
            nonlocal asked
            if not asked:
                asked = True
                task.cancel()

        for number in _SIGNALS:
            loop.add_signal_handler(number, end)
        try:
            return await task
        except asyncio.CancelledError:
            return ExitCode.INTERRUPTED

    return asyncio.run(main())
