"""The worker's own port: is it alive, is it ready, and its metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agents.settings import WorkerSettings
from infra.telemetry.listening import listening

_log = structlog.get_logger(__name__)

#: What keeps a worker from being ready, by component; empty when nothing does.
Problems = Callable[[], dict[str, str]]
_PROBLEMS: Final[web.AppKey[Problems]] = web.AppKey("problems")


async def live(_: web.Request) -> web.Response:
    """200 as long as the worker can answer at all."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """200 when the worker is a member of its group and its stores answer, else 503; ``problems`` says why."""
    found = request.app[_PROBLEMS]()
    status = "unavailable" if found else "ok"
    return web.json_response({"status": status, "problems": found}, status=503 if found else 200)


async def metrics(_: web.Request) -> web.Response:
    """The metrics in Prometheus's text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


ROUTES: Final = [web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", metrics)]


@asynccontextmanager
async def health_server(settings: WorkerSettings, problems: Problems) -> AsyncIterator[None]:
    """Serve the routes while the block runs; port 0 serves nothing."""
    if settings.port == 0:
        yield
        return
    app = web.Application()
    app[_PROBLEMS] = problems
    app.add_routes(ROUTES)
    cure = "set worker.port to a free one, or to 0 for none"
    async with listening(web.AppRunner(app, access_log=None), settings.host, settings.port, cure):
        _log.info("health and metrics", url=f"http://{settings.host}:{settings.port}")
        yield
