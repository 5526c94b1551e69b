"""Running the gateway: until a signal, or until going on would do harm."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from typing import Final

import uvloop
from aiohttp import web

from gateway.app import FAILED, build_app
from gateway.configuration import Configuration
from gateway.http.protocol import Runner
from gateway.settings import GatewaySettings
from infra.onnx import EmbeddingSettings, load_embedder
from infra.postgres import PostgresSettings
from infra.telemetry.listening import listening
from infra.telemetry.metrics import tell_what_runs
from infra.weaviate import WeaviateSettings
from infra.webhooks import WebhookSettings
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)

#: What is open beside callers' connections: those to the stores, the model, logs.
_OTHER_FILES: Final = 500


def run_gateway(
    gateway: GatewaySettings,
    kafka: KafkaSettings,
    postgres: PostgresSettings,
    weaviate: WeaviateSettings,
    embedding: EmbeddingSettings,
    webhooks: WebhookSettings | None = None,
    configuration: Configuration | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code.

    Raises ``MisconfiguredError`` when the gateway cannot or must not serve: no model, an index made by another
    model, a taken port. Stores that are down are waited for.
    """
    embedder = load_embedder(embedding)
    tell_what_runs(embedder.identity)
    app = build_app(gateway, kafka, postgres, weaviate, embedder, webhooks, configuration)
    return uvloop.run(_serve(app, gateway))


async def _serve(app: web.Application, settings: GatewaySettings) -> int:
    _allow_files(settings.connections_max + _OTHER_FILES)
    runner = Runner(app, settings, shutdown_timeout=settings.shutdown_timeout_s)
    cure = "set gateway.host and gateway.port to a free address"
    async with listening(runner, settings.host, settings.port, cure):
        log.info("the gateway listens on %s", ", ".join(f"http://{h}:{p}" for h, p, *_ in runner.addresses))
        await _stopped(app[FAILED])
    return 0


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("this machine allows %s open files, gateway.connections_max asks for %s", allowed, wanted)


async def _stopped(failed: asyncio.Future[None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    signalled = asyncio.create_task(stop.wait())
    await asyncio.wait((signalled, failed), return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        failed.result()
