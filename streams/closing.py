"""Closing Kafka's clients: within a time, without losing a cancellation and without inventing one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

_log = structlog.get_logger(__name__)

#: How long a client may take to say goodbye, in seconds: a broker that does not answer must hold up nobody's end.
_WITHIN_S: Final = 4.0
#: Those that took longer: an event loop by itself does not keep its tasks.
_closing: Final[set[asyncio.Task[None]]] = set()


async def closed(closing: Coroutine[Any, Any, None]) -> None:
    """Wait until one of aiokafka's clients has closed; who does not close in time goes on closing behind our back.

    It is closed by a task of its own, as it swallows a cancellation that comes meanwhile: a task that connects
    again and again would go on for ever, and its process would not end. It is not cut off either, as it would
    leave what it has not closed by then.
    """
    task = asyncio.create_task(closing)
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    try:
        await asyncio.wait({task}, timeout=_WITHIN_S)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_WITHIN_S)
        raise
    finally:
        if not task.done():
            _log.warning("a client of Kafka does not close", seconds=_WITHIN_S)
            task.add_done_callback(_tell)
    # aiokafka cancels tasks of its own and lets that through: nobody has cancelled the task that waits here.
    if task.done() and not task.cancelled():
        task.result()


def _tell(task: asyncio.Task[None]) -> None:
    problem = "cancelled" if task.cancelled() else repr(task.exception() or "")
    _log.debug("a client of Kafka has closed late", problem=problem)
