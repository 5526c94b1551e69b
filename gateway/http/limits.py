"""How much one call may take: its place under the rate limits, the time for its body, the time for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.auth.caller import CALLER
from gateway.http.problems import ApiError
from gateway.http.ratelimit import RateLimiter, Standing
from gateway.settings_limits import LimitSettings
from infra.telemetry.metrics import CONNECTIONS_SLOW, RATE_LIMITED

_STANDINGS: Final = web.RequestKey("standings", list[Standing])
_DEADLINE: Final = web.RequestKey("deadline", asyncio.Timeout)


def limits_middleware(settings: LimitSettings, limiter: RateLimiter) -> Middleware:
    """Inside of the authentication: counts the call, takes its body whole, and ends it when its time is up."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (caller := request.get(CALLER)) is not None:
            standings = list(await limiter.count(caller))
            request[_STANDINGS] = standings
            _refuse(standings)
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
    if standings := request.get(_STANDINGS):
        response.headers["RateLimit-Policy"] = ", ".join(standing.policy.header for standing in standings)
        response.headers["RateLimit"] = ", ".join(standing.header for standing in standings)
    if not isinstance(response, web.Response) and (deadline := request.get(_DEADLINE)) is not None:
        deadline.reschedule(None)


def _refuse(standings: Sequence[Standing]) -> None:
    for standing in standings:
        if not standing.allowed:
            RATE_LIMITED.labels(standing.policy.name).inc()
            policy = standing.policy
            raise ApiError(
                429,
                "rate_limited",
                f"This {policy.name} may make {policy.quota} calls in {policy.window_s} s; "
                f"try again in {standing.reset_s} s.",
                headers={"Retry-After": str(standing.reset_s)},
            )


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
