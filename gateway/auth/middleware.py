"""Who is calling: the credential in the headers that mem0's clients and others use."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.contextvars import bound_contextvars

from gateway.auth.caller import CALLER
from gateway.http.problems import ApiError
from gateway.http.routing import find_route
from gateway.services import SERVICES
from infra.telemetry.metrics import AUTH_FAILURES

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")


@web.middleware
async def auth_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a call through with a valid credential; without one even an unknown path is a 401."""
    route = find_route(request)
    if route is not None and route.scope is None:
        return await handler(request)
    token = token_of(request.headers.get("Authorization"), request.headers.get("X-API-Key"))
    services = request.app[SERVICES]
    await services.strangers.admit(request, token)
    caller = await services.authenticator.find(token) if token else None
    if token is None or caller is None:
        AUTH_FAILURES.inc()
        await services.strangers.failed(request, token)
        raise ApiError(
            401,
            "unauthorized",
            "The API key is missing or not valid: send 'Authorization: Token <key>' or 'X-API-Key: <key>'.",
            headers={"WWW-Authenticate": 'Bearer realm="agentmem"'},
        )
    services.strangers.passed(token)
    if route is not None and route.scopes and caller.scopes.isdisjoint(route.scopes):
        wanted = " or ".join(f"'{scope}'" for scope in route.scopes)
        raise ApiError(403, "forbidden", f"This API key does not have the scope {wanted}.")
    request[CALLER] = caller
    with bound_contextvars(project=caller.project):
        return await handler(request)


def token_of(authorization: str | None, api_key: str | None) -> str | None:
    """The token in ``Authorization: Token|Bearer <token>`` or ``X-API-Key``; None if there is no usable one."""
    token = api_key or ""
    if authorization is not None:
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() not in ("token", "bearer"):
            return None
    token = token.strip()
    return token if _TOKEN.fullmatch(token) else None
