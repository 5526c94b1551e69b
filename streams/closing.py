"""Closing Kafka's clients: within a time, and without losing a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

_log = structlog.get_logger(__name__)

#: How long a client may take to say goodbye, in seconds: a broker that does not answer must hold up nobody's end.
_WITHIN_S: Final = 4.0


async def closed(closing: Coroutine[Any, Any, None]) -> None:
    """Wait until one of aiokafka's clients has closed; one that does not close in time is left behind.

    It is closed by a task of its own, as it swallows a cancellation that comes meanwhile: a task that connects
    again and again would go on for ever, and its process would not end.
    """
    task = asyncio.create_task(closing)
    try:
        await asyncio.wait({task}, timeout=_WITHIN_S)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_WITHIN_S)
        raise
    finally:
        if not task.done():
            _log.warning("a client of Kafka does not close", seconds=_WITHIN_S)
            task.cancel()
    if task.done():
        task.result()
