"""The worker's own port: is it alive, is it ready, and its metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agents.settings import WorkerSettings
from infra.telemetry.listening import listening

#: What keeps a worker from being ready, by component; empty when nothing does.
Problems = Callable[[], dict[str, str]]


@asynccontextmanager
async def health_server(settings: WorkerSettings, problems: Problems) -> AsyncIterator[None]:
    """Serve ``/health/live``, ``/health/ready`` and ``/metrics`` while the block runs; port 0 serves nothing."""
    if settings.port == 0:
        yield
        return

    async def live(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_: web.Request) -> web.Response:
        found = problems()
        status = "unavailable" if found else "ok"
        return web.json_response({"status": status, "problems": found}, status=503 if found else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", metrics)])
    cure = "set worker.port to a free one, or to 0 for none"
    async with listening(web.AppRunner(app, access_log=None), settings.host, settings.port, cure):
        yield
