"""What a worker does beside the stream: it mends the index, lets memories expire, and watches itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from agents.components import Components, Configuration
from agents.maintenance.expiry import Expiry
from agents.maintenance.republish import Republish
from agents.maintenance.sweep import Sweep
from agents.maintenance.verifying import Verifying
from agents.waiting import Waiting
from agents.watchdog import Watchdog
from agents.webhooks import run_webhooks
from infra.telemetry.metrics import LAG
from schemas.problems import MisconfiguredError, StoreUnavailableError
from streams.app import Stream
from streams.topics import Topics

_log = structlog.get_logger(__name__)

#: How long a failed task rests, in seconds.
_BEGIN_ANEW_S: Final = 30.0

#: A task: it runs until it is cancelled.
Run = Callable[[], Awaitable[None]]


async def kept_running(name: str, run: Run) -> None:
    """Run a task for ever: a fault in it is told and must not end the stream. Raises ``MisconfiguredError``."""
    while True:
        try:
            await run()
        except MisconfiguredError:
            raise
        except Exception:  # noqa: BLE001  # whatever it is, the stream goes on
            _log.exception("a task beside the stream failed, and begins anew", task=name)
        await asyncio.sleep(_BEGIN_ANEW_S)


def tasks_beside(configuration: Configuration, components: Components) -> dict[str, Run]:
    """The tasks, by name."""
    settings, topics = configuration.worker, Topics.of(configuration.kafka)
    database, projecting = components.database, components.projecting
    lag, producer = components.lag, components.producer
    republish = Republish(
        database, lag, producer, components.announcing, topics, settings, configuration.kafka.request_max_bytes
    )
    tasks: dict[str, Run] = {
        "sweep": Sweep(database, projecting, settings).run,
        "verify": Verifying(database, projecting, settings).run,
        "expiry": Expiry(database, lag, producer, topics, settings).run,
        "republish": republish.run,
    }
    if configuration.webhooks.enabled:
        tasks["webhooks"] = partial(run_webhooks, configuration.kafka, database, configuration.webhooks)
    return tasks


def watchdog(configuration: Configuration, components: Components, stream: Stream, waiting: Waiting) -> Watchdog:
    """It ends a worker that has lag and makes no progress. This is no task beside: its fault is the worker's."""

    async def stores_up() -> bool:
        try:
            await asyncio.to_thread(components.database.ping)
            return await (await components.projecting.serving()).is_ready()
        except StoreUnavailableError:
            return False

    def report(lag: dict[int, int]) -> None:
        LAG.clear()
        for partition, records in lag.items():
            LAG.labels(partition).set(records)

    return Watchdog(
        components.readable_lag,
        mine=lambda: {partition for _, partition in stream.assignment()},
        waiting=lambda: bool(waiting.problems),
        steps=lambda: waiting.steps + components.embedding.steps,
        stores_up=stores_up,
        report=report,
        settings=configuration.worker,
    )
