"""The worker: a member of the group that runs the pipeline until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from importlib.metadata import version
from typing import Any, Final

import faust
import structlog
import uvloop

from agents import failpoints
from agents.beside import kept_running, tasks_beside, watch_group
from agents.components import Components, Configuration, open_components
from agents.health import health_server
from agents.pipeline import Pipeline
from agents.preparing import Preparing
from agents.probing import Probing
from agents.settings import WorkerSettings
from agents.storing import Storing
from agents.waiting import Waiting
from infra.onnx import EmbeddingSettings
from infra.postgres import PostgresSettings
from infra.telemetry.metrics import RECORDS
from infra.telemetry.tracing import TelemetrySettings, tracing
from infra.weaviate import WeaviateSettings
from infra.webhooks import WebhookSettings
from streams.app import Stream
from streams.settings import KafkaSettings, WindowSettings
from streams.window import Window

_log = structlog.get_logger(__name__)

#: How long tasks may take to end after all that matters is closed, in seconds.
_CANCEL_WITHIN_S: Final = 2.0


def run_worker(
    *,
    kafka: KafkaSettings,
    window: WindowSettings,
    postgres: PostgresSettings,
    weaviate: WeaviateSettings,
    embedding: EmbeddingSettings,
    worker: WorkerSettings,
    webhooks: WebhookSettings,
    telemetry: TelemetrySettings,
    beside: Callable[[], Awaitable[None]] | None = None,
) -> int:
    """Run a worker until SIGTERM or SIGINT, and ``beside`` as long; returns the exit code 0.

    See :func:`serve` for what it raises.
    """
    failpoints.arm(os.environ)
    release = version("agentmem")
    for result in ("applied", "repeated", "dead_lettered", "dropped"):
        RECORDS.labels(result)  # at 0: the first one, too, is an increase, and none is a rate of 0
    with tracing(telemetry, "agentmem-worker", release):
        _run(serve(Configuration(kafka, window, postgres, weaviate, embedding, worker, webhooks), beside))
    return 0


def _run(main: Coroutine[Any, Any, None]) -> None:
    """As ``asyncio.run``, but tasks of Faust's that ignore their cancellation are left behind."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        if remaining := asyncio.all_tasks(loop):
            for task in remaining:
                task.cancel()
            loop.run_until_complete(asyncio.wait(remaining, timeout=_CANCEL_WITHIN_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.set_exception_handler(lambda *_: None)  # which would tell of each task left behind
        asyncio.set_event_loop(None)
        loop.close()


async def serve(configuration: Configuration, beside: Callable[[], Awaitable[None]] | None = None) -> None:
    """Process requests until SIGTERM or SIGINT.

    Raises ``MisconfiguredError`` when something does not fit, and the error that stopped the pipeline when no
    record is to blame for it. Nothing is committed that was not done.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.create_task(_work(configuration), name="worker")
    watching = None if beside is None else asyncio.create_task(kept_running("settings", beside))
    stopping = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        _log.info("stopping")
        work.cancel()
    stopping.cancel()
    if watching is not None:
        watching.cancel()
    try:
        await work
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    except BaseExceptionGroup as group:
        error = _first(group)
        raise error from error.__cause__  # as it was: the group has nothing to add


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _work(configuration: Configuration) -> None:
    waiting, stores = Waiting(), Probing()
    stream = Stream(configuration.kafka)
    window = Window(configuration.window, stream.pause, stream.resume)

    def problems() -> dict[str, str]:
        group = {} if stream.is_member() else {"Kafka": "not a member of the group yet"}
        return group | waiting.problems | stores.problems

    async with (
        health_server(configuration.worker, problems),
        open_components(configuration, waiting) as components,
    ):
        _consume(stream, window)
        app = stream.app
        try:
            await app.start()
            # What is here now stays: to look through it again and again would stop the worker for 0.1 s each time.
            gc.freeze()
            _log.info("worker started", group=configuration.kafka.group, topic=stream.topic.get_topic_name())
            async with asyncio.TaskGroup() as tasks:
                pipeline = _pipeline(configuration, components, window, stream, waiting)
                tasks.create_task(pipeline.run(), name="pipeline")
                for name, run in tasks_beside(configuration, components, stores).items():
                    tasks.create_task(kept_running(name, run), name=name)
                watching = watch_group(configuration, components, stream, waiting, stores)
                tasks.create_task(watching, name="watchdog")
                tasks.create_task(_watch(app), name="faust")
        finally:
            await stream.stop()


def _consume(stream: Stream, window: Window) -> None:
    """Define the Faust agent that feeds the window, and forget what it fed when partitions change hands."""

    @stream.app.agent(stream.topic, name="memory_requests", concurrency=1)
    async def memory_requests(requests: faust.StreamT[bytes]) -> None:
        async for record in stream.records(requests):
            window.put(record)

    async def forget(*_: object, **__: object) -> None:
        window.clear()

    stream.app.on_partitions_revoked.connect(forget, weak=False)
    stream.app.on_partitions_assigned.connect(forget, weak=False)


def _pipeline(
    configuration: Configuration, components: Components, window: Window, stream: Stream, waiting: Waiting
) -> Pipeline:
    preparing = Preparing(components.embedding, configuration.kafka.request_max_bytes)
    storing = Storing(components.database, components.projecting, components.announcing, waiting)
    return Pipeline(window, preparing, storing, stream, waiting)


async def _watch(app: faust.App) -> None:
    """Raise what made Faust crash: without it there is no stream."""
    await app.wait_until_stopped()
    raise app.crash_reason or RuntimeError("Faust stopped by itself")
