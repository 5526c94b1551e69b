"""What mem0's clients can ask for and is not done here: told by name, so that nobody waits for it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.http.problems import ApiError
from gateway.http.routing import Route, find_route
from gateway.openapi.operation import operation

_PROJECTS: Final = "/api/v1/orgs/organizations/{organisation}/projects/"
_NO_PROFILES: Final = "Profiles need a language model."
_MEMBERS: Final = f"{_PROJECTS}{{project}}/members/"
_WHY: Final = {
    ("POST", _PROJECTS): "Projects are made by the operator, not over HTTP.",
    ("DELETE", f"{_PROJECTS}{{project}}/"): "Projects stay; DELETE /v1/memories/reset empties one.",
    **{(method, _MEMBERS): "Projects have API keys, not members." for method in ("GET", "POST", "PUT", "DELETE")},
    ("POST", "/v1/exports/"): "Exports need a language model; list the memories instead.",
    ("POST", "/v1/exports/get/"): "Exports need a language model; list the memories instead.",
    ("POST", "/v1/summary/"): "Summaries need a language model.",
    ("GET", "/v2/entities/user/{name}/profile/"): _NO_PROFILES,
    ("POST", "/v2/profiles/jobs/"): _NO_PROFILES,
    ("GET", "/v2/profiles/jobs/{job_id}/"): _NO_PROFILES,
    ("GET", "/v2/profiles/settings/"): _NO_PROFILES,
    ("POST", "/v2/profiles/settings/"): _NO_PROFILES,
}


@operation(answers={})
async def unsupported(request: web.Request) -> web.Response:
    """Not supported: always a 400 that says why."""
    route = find_route(request)
    assert route is not None
    raise ApiError(400, "unsupported_operation", _WHY[route.method, route.path])


ROUTES: Final = [Route(method, path, unsupported, "read" if method == "GET" else "write") for method, path in _WHY]
