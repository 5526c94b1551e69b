"""The gateway's composition: which part knows which, and what runs in the background while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

from aiohttp import web

from gateway import routes
from gateway.auth.authenticator import Authenticator
from gateway.auth.cache import TtlCache
from gateway.auth.keys import KeyCache
from gateway.auth.middleware import auth_middleware
from gateway.auth.oidc import OidcIssuer
from gateway.auth.signing import SigningKeys
from gateway.auth.strangers import Strangers
from gateway.auth.tokens import Tokens
from gateway.broker import Broker
from gateway.configuration import Configuration
from gateway.connection import Connection
from gateway.feeds.catchup import CatchUps
from gateway.feeds.hub import Feeds
from gateway.feeds.inbound import Arrival
from gateway.feeds.listener import EventListener
from gateway.feeds.readers import Readers
from gateway.health import HealthMonitor
from gateway.http.access import access_middleware
from gateway.http.limits import add_rate_headers, limits_middleware
from gateway.http.problems import add_request_id, problems_middleware
from gateway.http.ratelimit import RateLimiter
from gateway.http.routing import add_routes
from gateway.http.security import Origins, add_security_headers, cors_middleware
from gateway.search.index import ServingIndex
from gateway.search.searcher import Searcher
from gateway.services import SERVICES, Services
from gateway.settings import GatewaySettings
from gateway.threads import Call
from gateway.writes.publisher import Publisher
from gateway.writes.waiters import Waiters
from infra.onnx import Embedder
from infra.postgres import Database, PostgresSettings
from infra.weaviate import VectorIndex, WeaviateSettings
from infra.webhooks import WebhookSettings
from schemas.problems import StoreUnavailableError
from streams.producer import Producer
from streams.settings import KafkaSettings
from streams.topics import Topics

#: Ends, with the reason, when a background task failed for good: serving on would do harm.
FAILED: Final = web.AppKey("failed", asyncio.Future[None])
#: A project's key for cursors never changes; it is looked up again so that what is not used is forgotten.
_CURSOR_KEY_S: Final = 3600.0


def build_app(
    gateway: GatewaySettings,
    kafka: KafkaSettings,
    postgres: PostgresSettings,
    weaviate: WeaviateSettings,
    embedder: Embedder,
    webhooks: WebhookSettings | None = None,
    configuration: Configuration | None = None,
) -> web.Application:
    """The aiohttp application. Nothing is connected before it starts; what it makes is closed at its end."""
    database = Database(postgres, walled=True)
    database_threads = ThreadPoolExecutor(postgres.pool_size, thread_name_prefix="database")
    embed_threads = ThreadPoolExecutor(gateway.embed_threads, thread_name_prefix="embed")
    call = Call(database_threads)
    tokens = _tokens(gateway, database, call)
    limiter = RateLimiter(gateway)
    origins = Origins(gateway)
    oidc = OidcIssuer(gateway.oidc_policy) if gateway.oidc_policy else None
    authenticator = Authenticator(KeyCache(database, call, gateway.key_cache_s), tokens, oidc)
    index = ServingIndex(VectorIndex(weaviate), database, call, embedder.identity)
    producer = Producer(kafka)
    broker = Broker(kafka, Topics.of(kafka).events)
    waiters = Waiters()
    feeds = Feeds(gateway)

    def deliver(arrival: Arrival) -> None:
        waiters.deliver(arrival.event)
        feeds.deliver(arrival)

    listener = EventListener(
        kafka, Topics.of(kafka).events, deliver, wanted=lambda: bool(len(waiters) or len(feeds))
    )

    async def cursor_key(project: str) -> bytes:
        return await call(database.cursor_key, project)

    readers = Readers(
        feeds,
        listener,
        CatchUps(kafka, Topics.of(kafka).events, gateway),
        TtlCache(cursor_key, _CURSOR_KEY_S).find,
        Topics.of(kafka).events,
        gateway,
    )

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

    index_connection = Connection("Weaviate", index.open, probe_index)
    kafka_connection = Connection("Kafka", open_kafka, probe_kafka)
    health = HealthMonitor(
        {"postgres": probe_database, "weaviate": index_connection.probe, "kafka": kafka_connection.probe},
        gateway,
    )
    app = web.Application(
        middlewares=[
            access_middleware,
            problems_middleware(gateway),
            cors_middleware(origins),
            auth_middleware,
            limits_middleware(gateway, limiter),
        ],
        client_max_size=gateway.body_max_bytes,
    )
    app[SERVICES] = Services(
        settings=gateway,
        database=database,
        call=call,
        authenticator=authenticator,
        strangers=Strangers(gateway, limiter, authenticator),
        tokens=tokens,
        publisher=Publisher(
            gateway, kafka, producer, database, call, waiters, lambda: health.components["kafka"].up
        ),
        searcher=Searcher(embedder, Call(embed_threads), index, database, call),
        readers=readers,
        webhooks=webhooks or WebhookSettings(),
        health=health,
        configuration=configuration,
    )
    add_routes(app, routes.served(gateway.documents_open))
    app.on_response_prepare.append(add_request_id)
    app.on_response_prepare.append(add_rate_headers)
    add_security_headers(app, origins)

    async def end_streams(_: web.Application) -> None:
        readers.stop()

    app.on_shutdown.append(end_streams)

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        app[FAILED] = asyncio.get_running_loop().create_future()
        runs = (index_connection.run, index.follow, kafka_connection.run, listener.run, health.run)
        tasks = [asyncio.create_task(run()) for run in runs]
        if configuration is not None:
            tasks.append(asyncio.create_task(configuration.watch()))
        for task in tasks:
            task.add_done_callback(_fail_with(app[FAILED]))
        yield
        app[FAILED].cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(producer.stop(), broker.stop())
        await index.close()
        await limiter.close()
        for threads in (database_threads, embed_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        # First the connections: a thread that waits for a Postgres that answers nothing ends only then.
        await asyncio.to_thread(database.close)
        await _shut_down(database_threads, embed_threads)

    app.cleanup_ctx.append(lifespan)
    return app


def _tokens(settings: GatewaySettings, database: Database, call: Call) -> Tokens | None:
    if settings.token_keys_file is None:
        return None
    keys = SigningKeys.read(settings.token_keys_file)
    return Tokens(keys, settings.token_policy, database, call, settings.key_cache_s)


def _fail_with(failed: asyncio.Future[None]) -> Callable[[asyncio.Task[None]], None]:
    def done(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not failed.done():
            failed.set_exception(error)

    return done


async def _shut_down(*executors: Executor) -> None:
    for executor in executors:
        await asyncio.to_thread(executor.shutdown)
