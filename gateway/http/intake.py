"""Bodies as they arrive: bounded in size and time each, and in bytes all together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from gateway.http.problems import ApiError
from gateway.http.routing import find_route
from gateway.settings import GatewaySettings
from infra.telemetry.metrics import CONNECTIONS_SLOW

#: The body that a call brought; not there without one.
BODY: Final = web.RequestKey("body", bytes)
#: Enough for what a route takes that needs no key: a token.
_PUBLIC_MAX_BYTES: Final = 16 * 1024
_CLOSE: Final = {"Connection": "close"}


class Intake:
    """Takes the bodies of all calls, and knows how many bytes of them this process holds."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._held = 0

    @asynccontextmanager
    async def body_of(self, request: web.Request) -> AsyncIterator[None]:
        """Read the body whole; it counts as held until the call has ended. No GET has one that we read."""
        if request.method == "GET" or not request.can_read_body:
            yield
            return
        taken = bytearray()
        try:
            await self._read(request, taken)
            request[BODY] = bytes(taken)
            yield
        finally:
            self._held -= len(taken)

    async def _read(self, request: web.Request, taken: bytearray) -> None:
        timeout_s = self._settings.body_timeout_s
        try:
            async with asyncio.timeout(timeout_s) as late:
                while chunk := await request.content.readany():
                    self._take(chunk, taken, _most(request, self._settings))
        except TimeoutError as error:
            if not late.expired():
                raise
            CONNECTIONS_SLOW.inc()
            detail = f"The body did not arrive within {timeout_s:g} s."
            raise ApiError(408, "body_too_slow", detail, headers=_CLOSE) from error
        except web.RequestPayloadError as error:
            raise ApiError(400, "invalid_body", "The body is not encoded as its header says.") from error
        except ConnectionError as error:
            raise ApiError(400, "invalid_body", "The caller went away before its body was here.") from error

    def _take(self, chunk: bytes, taken: bytearray, most: int) -> None:
        if len(taken) + len(chunk) > most:
            raise web.HTTPRequestEntityTooLarge(most)
        # What came, not what was announced: an announcement costs a caller nothing.
        if self._held + len(chunk) > max(self._settings.bodies_max_bytes, self._settings.body_max_bytes):
            wait_s = self._settings.retry_after_s
            raise ApiError(
                503,
                "too_many_bodies",
                f"The gateway has as many bodies in hand as it takes; try again in {wait_s} s.",
                headers={"Retry-After": str(wait_s), **_CLOSE},
            )
        self._held += len(chunk)
        taken += chunk


def _most(request: web.Request, settings: GatewaySettings) -> int:
    route = find_route(request)
    public = route is not None and route.scope is None
    return min(settings.body_max_bytes, _PUBLIC_MAX_BYTES) if public else settings.body_max_bytes
