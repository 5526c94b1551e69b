"""Ctrl-C and the coroutines of commands."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from agentmem.running import run


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_in_the_midst_of_a_step_lets_it_end() -> None:
    """As it may come while a connection is told of as made."""
    errors: list[dict[str, Any]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        made: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            assert not made.done()
            interrupt()
            made.set_result(None)

        loop.call_soon(tell)
        await made
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run(work())
    assert errors == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_does_not_wait_for_the_cleaning_up() -> None:
    async def work() -> None:
        try:
            interrupt()
            await asyncio.Event().wait()
        finally:
            interrupt()
            await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run(work())


def test_a_second_interrupt_ends_a_step_that_stands_still() -> None:
    """As one that prints to a pipe that nobody reads."""
    reading, writing = os.pipe()

    async def work() -> None:
        interrupt()
        threading.Timer(0.1, interrupt).start()
        os.read(reading, 1)

    # What a run that cannot be ended would wait for.
    late = threading.Timer(30, os.write, (writing, b"!"))
    late.start()
    with pytest.raises(KeyboardInterrupt):
        run(work())
    assert late.is_alive(), "it was ended by what it waited for"
    late.cancel()
    late.join()
    os.close(reading)
    os.close(writing)


def test_what_was_cancelled_by_nobody_outside_is_no_interrupt() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work())


def test_every_command_runs_so(repository: Path) -> None:
    sources = (repository / "agentmem").rglob("*.py")
    assert [path.name for path in sources if "asyncio.run(" in path.read_text()] == ["running.py"]
