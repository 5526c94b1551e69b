"""What became of requests, and what happens right now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from gateway.auth import CALLER
from gateway.feeds import Feed, FeedFilter
from gateway.jsonio import json_response
from gateway.problems import ApiError, invalid, not_found
from gateway.routing import Route
from gateway.services import SERVICES
from gateway.wire import event_json
from schemas.events import EventType
from schemas.scope import ENTITY_FIELDS

_TYPES: Final = {kind.value: kind for kind in EventType} | {
    kind.value.rpartition(".")[2]: kind for kind in EventType
}


async def status(request: web.Request) -> web.Response:
    """How far a request has come, with the ids of the memories it made."""
    request_id = request.match_info["event_id"]
    publisher = request.app[SERVICES].publisher
    progress = None if "\0" in request_id else await publisher.progress(request[CALLER].project, request_id)
    if progress is None:
        raise not_found()
    return json_response(event_json(request_id, progress))


async def stream(request: web.Request) -> web.StreamResponse:
    """The project's events as they happen, as server-sent events. A reader that is too slow is cut off."""
    services = request.app[SERVICES]
    wanted = parse_feed(request[CALLER].project, request.query)
    if not services.health.components["kafka"].up:
        raise ApiError(
            503,
            "unavailable",
            "Kafka cannot be reached, so there are no events now.",
            headers={"Retry-After": str(services.settings.retry_after_s)},
        )
    response = EventSourceResponse(
        sep="\n",
        ping_interval=services.settings.feed_heartbeat_s,
        send_timeout=services.settings.feed_send_timeout_s,
    )
    with services.feeds.subscribed(wanted) as feed:
        await response.prepare(request)
        async with response:
            await _send(feed, response)
    return response


async def _send(feed: Feed, response: EventSourceResponse) -> None:
    # While nothing happens only the heartbeat notices that the reader has gone.
    heartbeat = asyncio.create_task(response.wait())
    heartbeat.add_done_callback(lambda _: feed.end())
    try:
        while (event := await feed.next()) is not None:
            await response.send(event.document, id=event.id, event=event.type.value)
        if feed.cut_off:
            await response.send("You read too slowly: events were lost.", event="agentmem.stream.cut_off")
    except (ConnectionResetError, TimeoutError):
        feed.end()  # the reader has gone, or takes nothing any more
    finally:
        heartbeat.cancel()


def parse_feed(project: str, query: Mapping[str, str]) -> FeedFilter:
    """The filter in a stream's query: entity ids, and ``type`` as a comma-separated list."""
    for name, value in query.items():
        if name not in (*ENTITY_FIELDS, "type"):
            raise invalid(name, f"there is no such parameter; there are {', '.join(ENTITY_FIELDS)} and type")
        if not value:
            raise invalid(name, "must not be empty")
    names = query["type"].split(",") if "type" in query else []
    for name in names:
        if name not in _TYPES:
            raise invalid("type", f"{name!r} is no event type; there are {', '.join(sorted(_TYPES))}")
    ids = {field: query[field] for field in ENTITY_FIELDS if field in query}
    return FeedFilter(project, ids, frozenset(_TYPES[name] for name in names))


ROUTES: Final = [
    Route("GET", "/v1/event/{event_id}/", status, "read"),
    Route("GET", "/v1/events/stream", stream, "read"),
]
