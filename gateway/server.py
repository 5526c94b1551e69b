"""Running the gateway: until a signal, or until going on would do harm."""

from __future__ import annotations

import asyncio
import logging
import signal

import uvloop
from aiohttp import web

from gateway.app import FAILED, build_app
from gateway.settings import GatewaySettings
from infra.onnx import EmbeddingSettings, load_embedder
from infra.postgres import PostgresSettings
from infra.weaviate import WeaviateSettings
from schemas.problems import MisconfiguredError
from streams.settings import KafkaSettings

log = logging.getLogger(__name__)


def run_gateway(
    gateway: GatewaySettings,
    kafka: KafkaSettings,
    postgres: PostgresSettings,
    weaviate: WeaviateSettings,
    embedding: EmbeddingSettings,
) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code.

    Raises ``MisconfiguredError`` when the gateway cannot or must not serve: no model, an index made by another
    model, a taken port. Stores that are down are waited for.
    """
    embedder = load_embedder(embedding)
    return uvloop.run(_serve(build_app(gateway, kafka, postgres, weaviate, embedder), gateway))


async def _serve(app: web.Application, settings: GatewaySettings) -> int:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=settings.shutdown_timeout_s)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise MisconfiguredError(
                f"the gateway cannot listen on {settings.host}:{settings.port} ({error.strerror}): "
                "set gateway.host and gateway.port to a free address"
            ) from error
        log.info("the gateway listens on %s", ", ".join(f"http://{h}:{p}" for h, p, *_ in runner.addresses))
        await _stopped(app[FAILED])
    finally:
        await runner.cleanup()
    return 0


async def _stopped(failed: asyncio.Future[None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    signalled = asyncio.create_task(stop.wait())
    await asyncio.wait((signalled, failed), return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        failed.result()
