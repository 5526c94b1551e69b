"""What became of a request, and what happens right now."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from gateway.auth.caller import CALLER
from gateway.feeds.hub import StreamEndedError
from gateway.feeds.readers import NOW, Reader
from gateway.http.jsonio import json_response
from gateway.http.problems import not_found
from gateway.http.routing import Route
from gateway.http.wire import event_json
from gateway.openapi.operation import Text, operation
from gateway.openapi.parameters import Resumable
from gateway.routes.streaming import FeedQuery, may_still_read, parse_feed
from gateway.services import SERVICES
from gateway.settings import GatewaySettings
from gateway.shapes.requests import Event

NO_LONGER_ALLOWED: Final = "Your credential is no longer good."


@operation(answers={200: Event}, problems=(404,))
async def status(request: web.Request) -> web.Response:
    """How far a request has come, with the ids of the memories it made."""
    request_id = request.match_info["event_id"]
    publisher = request.app[SERVICES].publisher
    progress = None if "\0" in request_id else await publisher.progress(request[CALLER].project, request_id)
    if progress is None:
        raise not_found()
    return json_response(event_json(request_id, progress))


@operation(query=FeedQuery, headers=Resumable, answers={200: Text(("text/event-stream",))}, problems=(410,))
async def stream(request: web.Request) -> web.StreamResponse:
    """The project's events as server-sent events, live or from a cursor on. Each event's id is its cursor."""
    services = request.app[SERVICES]
    wanted = parse_feed(request[CALLER].project, request.query)
    # A browser that connects again sends the header to the very address that it had at first.
    start = request.headers.get("Last-Event-ID") or request.query.get("from", NOW)
    response = EventSourceResponse(
        sep="\n",
        ping_interval=services.settings.feed_heartbeat_s,
        send_timeout=services.settings.feed_send_timeout_s,
    )
    async with services.readers.open(wanted, start) as reader:
        await response.prepare(request)
        # Suppressed: the reader has gone, or takes nothing any more.
        async with response:
            with suppress(ConnectionResetError, TimeoutError):
                await _send_until_end(request, reader, response, services.settings)
    return response


async def _send_until_end(
    request: web.Request, reader: Reader, response: EventSourceResponse, settings: GatewaySettings
) -> None:
    try:
        await _send(request, reader, response, settings)
    except StreamEndedError as end:
        kind = "cut_off" if end.cut_off else "ended"
        await response.send(end.detail, id=reader.cursor, event=f"agentmem.stream.{kind}")


async def _send(
    request: web.Request, reader: Reader, response: EventSourceResponse, settings: GatewaySettings
) -> None:
    loop = asyncio.get_running_loop()
    told = await _tell_position(reader, response, "", settings)
    check_at = loop.time() + settings.feed_heartbeat_s
    # While nothing happens only the response's own pings notice that the reader has gone.
    while response.is_connected():
        event = await reader.next(settings.feed_heartbeat_s)
        if event is not None:
            told = reader.cursor
            await response.send(event.document, id=told, event=event.type.value)
        else:
            told = await _tell_position(reader, response, told, settings)
        if loop.time() >= check_at:
            if not await may_still_read(request):
                raise StreamEndedError(NO_LONGER_ALLOWED, cut_off=True)
            check_at = loop.time() + settings.feed_heartbeat_s


async def _tell_position(
    reader: Reader, response: EventSourceResponse, told: str, settings: GatewaySettings
) -> str:
    """An id without an event: the reader remembers it, and a quiet stream is resumed from where it was."""
    cursor = reader.cursor
    if cursor != told:
        async with asyncio.timeout(settings.feed_send_timeout_s):
            await response.write(f"id: {cursor}\n\n".encode())
    return cursor


ROUTES: Final = [
    Route("GET", "/v1/event/{event_id}/", status, "read"),
    Route("GET", "/v1/events/stream", stream, "read"),
]
