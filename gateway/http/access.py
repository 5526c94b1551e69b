"""The access log: one line for each call, whose id every line logged meanwhile carries."""

from __future__ import annotations

import logging
import re
import time
from typing import Final
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.contextvars import bound_contextvars

from gateway.auth.caller import CALLER
from gateway.http.problems import REQUEST_ID, REQUEST_ID_HEADER
from gateway.http.routing import find_route, route_label
from gateway.writes.publisher import TRACEPARENT

log = structlog.get_logger(__name__)

_GOOD_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


@web.middleware
async def access_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware: gives each call an id, the caller's own if it sent one, and logs the call."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    request[REQUEST_ID] = given if _GOOD_REQUEST_ID.fullmatch(given) else str(uuid4())
    trace = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    known = {"request_id": request[REQUEST_ID]} | ({"trace_id": trace[1]} if trace else {})
    TRACEPARENT.set(trace[0] if trace else None)
    with bound_contextvars(**known):
        started = time.perf_counter()
        response = await handler(request)
        caller = request.get(CALLER)
        log.log(
            _level(request),
            "call",
            method=request.method,
            route=route_label(request),
            path=request.path,
            status=response.status,
            ms=round((time.perf_counter() - started) * 1000, 1),
            **({"project": caller.project} if caller else {}),
        )
    return response


def _level(request: web.Request) -> int:
    # Probes and scrapers call every few seconds; their routes need no key.
    route = find_route(request)
    return logging.DEBUG if route is not None and route.scope is None else logging.INFO
