"""Is it there, is it well, and what are its numbers."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.auth.caller import CALLER
from gateway.http.jsonio import json_response
from gateway.http.routing import EITHER, Route
from gateway.openapi.operation import Text, operation
from gateway.services import SERVICES
from gateway.shapes.health import Alive, Health, Ping

ORGANISATION: Final = "agentmem"


@operation(answers={200: Ping})
async def ping(request: web.Request) -> web.Response:
    """Whether the key is good, and which project it opens."""
    return json_response({"status": "ok", "org_id": ORGANISATION, "project_id": request[CALLER].project})


@operation(answers={200: Health})
async def health(request: web.Request) -> web.Response:
    """Every component with its status and latency."""
    return json_response(_report(request))


@operation(answers={200: Alive})
async def live(_request: web.Request) -> web.Response:
    """200 as long as the gateway can answer at all."""
    return json_response({"status": "ok"})


@operation(answers={200: Health, 503: Health})
async def ready(request: web.Request) -> web.Response:
    """200 when the gateway can serve everything, else 503."""
    report = _report(request)
    return json_response(report, 200 if report["status"] == "ok" else 503)


@operation(answers={200: Text(("text/plain",))})
async def metrics(_request: web.Request) -> web.Response:
    """The metrics in Prometheus's text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _report(request: web.Request) -> Health:
    monitor = request.app[SERVICES].health
    return {
        "status": "ok" if monitor.ready else "unavailable",
        "components": {
            name: {"status": "up" if health.up else "down", "latency_ms": health.latency_ms}
            for name, health in monitor.components.items()
        },
    }


ROUTES: Final = [
    Route("GET", "/v1/ping/", ping, EITHER),
    Route("GET", "/health", health, None),
    Route("GET", "/health/live", live, None),
    Route("GET", "/health/ready", ready, None),
    Route("GET", "/metrics", metrics, None),
]
