"""How much one call may take: its place under the rate limits, the time for its body, the time for all of it."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.auth.caller import CALLER
from gateway.http.intake import Intake
from gateway.http.problems import ApiError
from gateway.http.ratelimit import STANDINGS, RateLimiter, refuse
from gateway.settings import GatewaySettings

_DEADLINE: Final = web.RequestKey("deadline", asyncio.Timeout)


def limits_middleware(settings: GatewaySettings, limiter: RateLimiter) -> Middleware:
    """Inside of the authentication: counts the call, takes its body whole, and ends it when its time is up."""
    intake = Intake(settings)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (caller := request.get(CALLER)) is not None:
            request[STANDINGS] = standings = await limiter.count(caller)
            refuse(standings)
        try:
            async with asyncio.timeout(settings.call_timeout_s) as deadline:
                request[_DEADLINE] = deadline
                async with intake.body_of(request):
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
