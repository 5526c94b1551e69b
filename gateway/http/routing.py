"""Paths as clients really write them: with or without a trailing slash, with doubled slashes.

A redirect would break mem0's clients, so each route itself matches every spelling. Segments are split from
the raw path before they are decoded: an id may hold an encoded slash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

#: The scope of a route that takes any valid key.
ANY: Final = "any"
#: That of a route for which one of both scopes is enough. Where the body says whether it reads or writes, the
#: handler asks for the one that it needs.
EITHER: Final = "read or write"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. ``scope`` is what its API key must allow; a public route (None) needs no key."""

    method: str
    path: str
    handler: Handler
    scope: str | None

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of which its API key must have one; where there are none, any key will do."""
        return () if self.scope is None or self.scope == ANY else tuple(self.scope.split(" or "))


ROUTES: Final = web.AppKey("routes", dict[web.AbstractRoute, Route])


def add_routes(app: web.Application, routes: list[Route]) -> None:
    """Register the routes and remember what each needs."""
    known = app.setdefault(ROUTES, {})
    for route in routes:
        known[app.router.add_route(route.method, tolerant(route.path), route.handler)] = route


def tolerant(path: str) -> str:
    """The aiohttp pattern that takes ``/a/{id}/`` as ``//a/x`` too."""
    segments = path.strip("/").split("/")
    pattern = "/{s0:/*}" + segments[0]
    for number, segment in enumerate(segments[1:], start=1):
        pattern += f"{{s{number}:/+}}{segment}"
    return pattern + "{end:/*}"


def find_route(request: web.Request) -> Route | None:
    """The route that a call matched; None for a path or method that is not there."""
    return request.app[ROUTES].get(request.match_info.route)


def route_label(request: web.Request) -> str:
    """The route's path for metrics: bounded, whatever callers ask for."""
    route = find_route(request)
    return route.path if route else "unmatched"
