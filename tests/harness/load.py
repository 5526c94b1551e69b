"""Load that goes on while something else happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from tests.harness.kafka import Message, committed, publisher
from tests.harness.system import System
from tests.harness.waiting import eventually

_PUBLISH_AT_ONCE = 100


@asynccontextmanager
async def under_load(
    system: System,
    messages: Sequence[Message],
    over_s: float,
    at_once: int = _PUBLISH_AT_ONCE,
    *,
    rest_at_end: bool = False,
) -> AsyncIterator[None]:
    """Publish the messages bit by bit, over about ``over_s`` seconds; in the end Kafka has all of them.

    ``rest_at_end``: when the block ends before, the rest is published at once. With it ``over_s`` may be longer
    than the block takes on a fast machine, so that a slow one is under load to the end, too.
    """
    ended = asyncio.Event()

    async def load() -> None:
        pause = over_s * at_once / len(messages)
        async with publisher(system) as publish:
            for start in range(0, len(messages), at_once):
                await publish(messages[start : start + at_once])
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), pause)

    task = asyncio.create_task(load())
    try:
        yield
        if rest_at_end:
            ended.set()
        await task
    finally:
        task.cancel()


async def progressed(system: System, records: int, within_s: float = 120) -> None:
    """Wait until the group has committed this many records more than now."""
    goal: int | None = None

    async def there() -> bool:
        nonlocal goal
        done = sum((await committed(system)).values())
        goal = done + records if goal is None else goal
        return done >= goal

    await eventually(there, within_s, f"{records} more records committed", system.logs)
