"""Answers that browsers may trust: CORS by a list of origins, and headers that close what we do not use."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from gateway.settings_limits import LimitSettings

_METHODS: Final = "GET, POST, PUT, DELETE"
_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Mem0-User-ID, "
    "X-API-Key, X-Mem0-Client, X-Request-ID, traceparent"
)
_EXPOSED: Final = "ETag, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
_PREFLIGHT_S: Final = "600"

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Nothing of ours is a page, unless its route says so.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Origins:
    """Which web sites' scripts may call."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings

    def __bool__(self) -> bool:
        return bool(_listed(self._settings.cors_origins))

    def allowed(self, origin: str | None) -> str | None:
        """What ``Access-Control-Allow-Origin`` says to this origin; None when it may not call."""
        if origin is None:
            return None
        # Credentials travel in headers that a script sets itself, so * opens nothing that a cookie would.
        listed = _listed(self._settings.cors_origins)
        return "*" if "*" in listed else origin if origin in listed else None


@lru_cache(maxsize=4)
def _listed(origins: str) -> frozenset[str]:
    return frozenset(origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip())


def cors_middleware(origins: Origins) -> Middleware:
    """Answers a browser's question whether a script may call, which comes without a credential."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if (
            request.method != hdrs.METH_OPTIONS
            or not asked
            or not origins.allowed(request.headers.get(hdrs.ORIGIN))
        ):
            return await handler(request)
        return web.Response(
            status=204,
            headers={
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _HEADERS,
                hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_S,
            },
        )

    return middleware


def add_security_headers(app: web.Application, origins: Origins) -> None:
    """Give every answer of the application its headers, those of errors and streams too."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        for name, value in _ALWAYS.items():
            response.headers.setdefault(name, value)
        response.headers["Server"] = "AgentMem"
        if request.secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if origins:
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
            if allowed := origins.allowed(request.headers.get(hdrs.ORIGIN)):
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed
                response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    app.on_response_prepare.append(add)
