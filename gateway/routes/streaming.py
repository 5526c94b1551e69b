"""What both kinds of event stream share: their filter, and whether the caller may still read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, Field

from gateway.auth.caller import CALLER
from gateway.auth.middleware import token_of
from gateway.feeds.hub import FeedFilter
from gateway.feeds.readers import NOW
from gateway.http.problems import invalid
from gateway.services import SERVICES
from schemas.events import EventType
from schemas.problems import StoreUnavailableError
from schemas.scope import ENTITY_FIELDS

Wanted = Annotated[str | None, Field(min_length=1)]
_TYPES: Final = {kind.value: kind for kind in EventType} | {
    kind.value.rpartition(".")[2]: kind for kind in EventType
}


class FeedQuery(BaseModel):
    """Which events a stream has."""

    user_id: Wanted = Field(None, description="Only events of this user.")
    agent_id: Wanted = Field(None, description="Only events of this agent.")
    app_id: Wanted = Field(None, description="Only events of this application.")
    run_id: Wanted = Field(None, description="Only events of this run (session).")
    type: Wanted = Field(None, description="Only these types, comma-separated.", examples=["added,deleted"])
    start: str = Field(NOW, alias="from", min_length=1, description="From where on: now, beginning or a cursor.")


def make_filter(project: str, ids: Mapping[str, str], types: Iterable[str], field: str = "type") -> FeedFilter:
    """The filter; ``types`` are whole event types or their last words. A 400 names an unknown one."""
    wanted = set()
    for name in types:
        if name not in _TYPES:
            raise invalid(field, f"{name!r} is no event type; there are {', '.join(sorted(_TYPES))}")
        wanted.add(_TYPES[name])
    return FeedFilter(project, dict(ids), frozenset(wanted))


def parse_feed(project: str, query: Mapping[str, str]) -> FeedFilter:
    """The filter in a stream's query: entity ids, and ``type`` as a comma-separated list."""
    for name, value in query.items():
        if name not in (*ENTITY_FIELDS, "type", "from"):
            raise invalid(name, f"there is no such parameter; there are {', '.join(ENTITY_FIELDS)}, type and from")
        if not value:
            raise invalid(name, "must not be empty")
    ids = {field: query[field] for field in ENTITY_FIELDS if field in query}
    return make_filter(project, ids, query["type"].split(",") if "type" in query else [])


async def may_still_read(request: web.Request) -> bool:
    """Whether the credential is still good: a stream outlives the moment when it was checked."""
    token = token_of(request.headers.get("Authorization"), request.headers.get("X-API-Key"))
    try:
        caller = await request.app[SERVICES].authenticator.find(token) if token else None
    except StoreUnavailableError:
        return True
    return caller is not None and caller.project == request[CALLER].project and "read" in caller.scopes
