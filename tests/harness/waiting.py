"""Waiting for a condition, with a deadline that says what was waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError

_POLL_S = 0.2


async def eventually(
    condition: Callable[[], Awaitable[bool]], within_s: float, what: str, explain: Callable[[], str] = str
) -> None:
    """Return when the condition holds; fail with ``what`` and ``explain()`` when it does not in time.

    While Kafka does not answer, the condition does not hold.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not await _holds(condition):
        if loop.time() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}\n{explain()}")
        await asyncio.sleep(_POLL_S)


async def _holds(condition: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await condition()
    except KafkaError:
        return False
