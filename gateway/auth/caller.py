"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from aiohttp import web

from gateway.http.problems import ApiError

#: The longest name of a project.
PROJECT_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller whose credential was found good: what it may do (``scopes``) in which project.

    ``id`` is what limits count by: the same for all tokens that came from one API key. ``key_id`` is set when it
    presents the API key itself.
    """

    project: str
    name: str
    scopes: frozenset[str]
    id: str
    key_id: UUID | None = None


CALLER: Final = web.RequestKey("caller", Caller)


def may_read(request: web.Request) -> bool:
    """Whether the caller may see what it did not send itself: its scope ``write`` alone does not let it."""
    return "read" in request[CALLER].scopes


def require_scope(request: web.Request, scope: str) -> None:
    """Raise the 403 for a caller without this scope: for what a route does beside what its own scope covers."""
    if scope not in request[CALLER].scopes:
        raise ApiError(403, "forbidden", f"This API key does not have the scope '{scope}', which this needs too.")
