"""Closing Kafka's clients without losing a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def closed(closing: Awaitable[None]) -> None:
    """Wait until one of aiokafka's clients has closed.

    It swallows a cancellation that comes meanwhile, so that a task which connects again and again would go on for
    ever, and its process would not end: here the cancellation holds.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    await closing
    if task.cancelling() > before:
        raise asyncio.CancelledError
