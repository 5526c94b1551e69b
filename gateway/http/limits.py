"""How much one call may take: its place under the rate limits, the time for its body, the time for all of it."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.auth.caller import CALLER
from gateway.http.problems import ApiError
from gateway.http.ratelimit import STANDINGS, RateLimiter, refuse
from gateway.settings_limits import LimitSettings
from infra.telemetry.metrics import CONNECTIONS_SLOW

_DEADLINE: Final = web.RequestKey("deadline", asyncio.Timeout)


def limits_middleware(settings: LimitSettings, limiter: RateLimiter) -> Middleware:
    """Inside of the authentication: counts the call, takes its body whole, and ends it when its time is up."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (caller := request.get(CALLER)) is not None:
            request[STANDINGS] = standings = await limiter.count(caller)
            refuse(standings)
        try:
            async with asyncio.timeout(settings.call_timeout_s) as deadline:
                request[_DEADLINE] = deadline
                await _read_body(request, settings.body_timeout_s)
                return await handler(request)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise ApiError(504, "timeout", "The call took too long.") from error

    return middleware


async def add_rate_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: every answer says how many calls are left; a stream has no end to be late for."""
    if standings := request.get(STANDINGS):
        response.headers["RateLimit-Policy"] = ", ".join(standing.policy.header for standing in standings)
        response.headers["RateLimit"] = ", ".join(standing.header for standing in standings)
    if not isinstance(response, web.Response) and (deadline := request.get(_DEADLINE)) is not None:
        deadline.reschedule(None)


async def _read_body(request: web.Request, timeout_s: float) -> None:
    # Here, once for all routes: what was read stays with the request.
    if not request.can_read_body:
        return
    try:
        async with asyncio.timeout(timeout_s) as late:
            await request.read()
    except TimeoutError as error:
        if not late.expired():
            raise
        CONNECTIONS_SLOW.inc()
        raise ApiError(
            408,
            "body_too_slow",
            f"The body did not arrive within {timeout_s:g} s.",
            headers={"Connection": "close"},
        ) from error
    except web.RequestPayloadError as error:
        raise ApiError(400, "invalid_body", "The body is not encoded as its header says.") from error
