"""Doing something at a steady rate, however long each one takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator


async def paced(rate: float, count: int) -> AsyncIterator[tuple[int, float]]:
    """Numbers from 0, ``rate`` a second, each with the moment that it was due, of the monotonic clock.

    One that comes late does not move the others: a latency counted from there holds what it waited.
    """
    start = time.monotonic()
    for number in range(count):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield number, due
