"""What a worker does beside the stream: mend the index, let memories expire, watch its stores and itself."""

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
from agents.probing import IndexProbe, Probing
from agents.waiting import Waiting
from agents.watchdog import Watchdog
from agents.webhooks import run_webhooks
from infra.telemetry.metrics import LAG
from schemas.problems import MisconfiguredError
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
        except Exception as error:  # whatever it is, the stream goes on
            _log.exception("a task beside the stream failed, and begins anew", task=name)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from error  # it failed to clean up, which took the place of this
        await asyncio.sleep(_BEGIN_ANEW_S)


def tasks_beside(configuration: Configuration, components: Components, stores: Probing) -> dict[str, Run]:
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
        "postgres": partial(stores.watch, "Postgres", partial(asyncio.to_thread, database.ping)),
        "weaviate": partial(stores.watch, "Weaviate", IndexProbe(projecting.serving)),
    }
    if configuration.webhooks.enabled:
        tasks["webhooks"] = partial(run_webhooks, configuration.kafka, database, configuration.webhooks)
    return tasks


async def watch_group(
    configuration: Configuration, components: Components, stream: Stream, waiting: Waiting, stores: Probing
) -> None:
    """Look at Kafka, and raise ``StuckError`` when the worker has lag and makes no progress.

    This is no task beside: its fault is the worker's.
    """

    def report(lag: dict[int, int]) -> None:
        LAG.clear()
        for partition, records in lag.items():
            LAG.labels(partition).set(records)

    watchdog = Watchdog(
        components.readable_lag,
        mine=lambda: {partition for _, partition in stream.assignment()},
        # A spare worker waits for no store itself; nor does one whose store holds a call and does not answer it.
        waiting=lambda: bool(waiting.problems or stores.problems),
        steps=lambda: waiting.steps + components.embedding.steps,
        report=report,
        settings=configuration.worker,
    )
    await stores.watch("Kafka", watchdog.check)
