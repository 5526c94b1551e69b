"""The gateway's composition: which part knows which, and what runs in the background while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

from aiohttp import web

from gateway import routes
from gateway.auth import auth_middleware
from gateway.broker import Broker
from gateway.connection import Connection
from gateway.feeds import Feeds
from gateway.health import HealthMonitor
from gateway.inbound import InboundEvent
from gateway.keys import KeyCache
from gateway.listener import EventListener
from gateway.problems import add_request_id, problems_middleware
from gateway.publisher import Publisher
from gateway.routing import add_routes
from gateway.search import Searcher
from gateway.services import SERVICES, Services
from gateway.settings import GatewaySettings
from gateway.threads import Call
from gateway.waiters import Waiters
from infra.onnx import Embedder
from infra.postgres import Database, PostgresSettings
from infra.weaviate import VectorIndex, WeaviateSettings
from schemas.problems import StoreUnavailableError
from streams.producer import Producer
from streams.settings import KafkaSettings
from streams.topics import Topics

#: Ends, with the reason, when a background task failed for good: serving on would do harm.
FAILED: Final = web.AppKey("failed", asyncio.Future[None])


def build_app(
    gateway: GatewaySettings,
    kafka: KafkaSettings,
    postgres: PostgresSettings,
    weaviate: WeaviateSettings,
    embedder: Embedder,
) -> web.Application:
    """The aiohttp application. Nothing is connected before it starts; what it makes is closed at its end."""
    database = Database(postgres)
    database_threads = ThreadPoolExecutor(postgres.pool_size, thread_name_prefix="database")
    embed_threads = ThreadPoolExecutor(gateway.embed_threads, thread_name_prefix="embed")
    call = Call(database_threads)
    index = VectorIndex(weaviate)
    producer = Producer(kafka)
    broker = Broker(kafka, Topics.of(kafka).events)
    waiters = Waiters()
    feeds = Feeds(gateway.feed_queue, gateway.feeds_max)

    def deliver(event: InboundEvent) -> None:
        waiters.deliver(event)
        feeds.deliver(event)

    listener = EventListener(
        kafka, Topics.of(kafka).events, deliver, wanted=lambda: bool(len(waiters) or len(feeds))
    )

    async def open_index() -> None:
        await index.open()
        await index.ensure(embedder.identity)

    async def probe_index() -> None:
        if not await index.is_ready():
            raise StoreUnavailableError("Weaviate", "it says that it is not ready")

    async def open_kafka() -> None:
        await broker.start()
        await producer.start()

    async def probe_kafka() -> None:
        if not listener.positioned:
            raise StoreUnavailableError("Kafka", "the event topic is not being read yet")
        await broker.probe()

    async def probe_database() -> None:
        # A read of a table, not a mere ping: a database that was not migrated is not ready.
        await call(database.outcome, "", "")

    index_connection = Connection("Weaviate", open_index, probe_index)
    kafka_connection = Connection("Kafka", open_kafka, probe_kafka)
    health = HealthMonitor(
        {"postgres": probe_database, "weaviate": index_connection.probe, "kafka": kafka_connection.probe},
        gateway.probe_interval_s,
        gateway.probe_timeout_s,
    )
    app = web.Application(
        middlewares=[problems_middleware(gateway.retry_after_s), auth_middleware],
        client_max_size=gateway.body_max_bytes,
    )
    app[SERVICES] = Services(
        settings=gateway,
        database=database,
        call=call,
        keys=KeyCache(database, call, gateway.key_cache_s),
        publisher=Publisher(gateway, kafka, producer, database, call, waiters),
        searcher=Searcher(embedder, Call(embed_threads), index, database, call),
        feeds=feeds,
        health=health,
    )
    add_routes(app, routes.ALL)
    app.on_response_prepare.append(add_request_id)

    async def end_feeds(_: web.Application) -> None:
        feeds.end_all()

    app.on_shutdown.append(end_feeds)

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        app[FAILED] = asyncio.get_running_loop().create_future()
        runs = (index_connection.run, kafka_connection.run, listener.run, health.run)
        tasks = [asyncio.create_task(run()) for run in runs]
        for task in tasks:
            task.add_done_callback(_fail_with(app[FAILED]))
        yield
        app[FAILED].cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await producer.stop()
        await broker.stop()
        await index.close()
        await _shut_down(database_threads, embed_threads)
        database.close()

    app.cleanup_ctx.append(lifespan)
    return app


def _fail_with(failed: asyncio.Future[None]) -> Callable[[asyncio.Task[None]], None]:
    def done(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not failed.done():
            failed.set_exception(error)

    return done


async def _shut_down(*executors: Executor) -> None:
    for executor in executors:
        await asyncio.to_thread(executor.shutdown)
