"""Running a coroutine that ends, and cleans up after itself, when the user or the system asks it to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

from agentmem.exit_codes import ExitCode

T = TypeVar("T")

_ALL: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(work: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``, but Ctrl-C cancels ``work`` between two steps of the event loop.

    ``asyncio.run`` cancels it in the midst of one, which may then fail and be told of as an error. Raises
    ``KeyboardInterrupt`` when ``work`` lets the cancellation pass; a second Ctrl-C ends it at once, in the midst
    of a step, too.
    """
    return _run(work, [signal.SIGINT], patient=False)


def run_until_signal(work: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    """Run ``work``; SIGINT, SIGTERM or SIGHUP cancels it, once: its cleaning up is not disturbed by more of them.

    Returns what it returns, and ``INTERRUPTED`` when it lets the cancellation pass.
    """
    try:
        return _run(work, _ALL, patient=True)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _run(work: Coroutine[Any, Any, T], signals: Sequence[signal.Signals], *, patient: bool) -> T:
    asked = False

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.create_task(work)

        def end(*_: object) -> None:
            nonlocal asked
            if not asked and not task.done():
                asked = True
                loop.call_soon_threadsafe(task.cancel)
            elif not patient:
                raise KeyboardInterrupt

        # Not the loop's handlers: a loop that stands in a step never comes to them.
        for number in signals:
            signal.signal(number, end)
        return await task

    before = {number: signal.getsignal(number) for number in signals}
    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if asked:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
