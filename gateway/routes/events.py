"""What became of a request, and what happens right now."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
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

log = logging.getLogger(__name__)

NO_LONGER_ALLOWED: Final = "Your credential is no longer good."
FAILED: Final = "The gateway failed; its log says why."
NOTHING_LOST: Final = "Nothing is lost: ask again from this cursor."
#: For the access log alone.
_CLIENT_CLOSED_REQUEST: Final = 499


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
        sending = _Sending(request, reader, response, services.settings, reader.cursor)
        if request.transport is None:
            # The reader has gone meanwhile; to this response that would be a defect.
            return web.Response(status=_CLIENT_CLOSED_REQUEST)
        await response.prepare(request)
        # Suppressed: the reader has gone, or takes nothing any more.
        async with response:
            with suppress(ConnectionResetError, TimeoutError):
                await sending.run()
    return response


@dataclass(slots=True)
class _Sending:
    """One stream on its way; ``told`` is the cursor that its reader has, as soon as one was sent."""

    request: web.Request
    reader: Reader
    response: EventSourceResponse
    settings: GatewaySettings
    told: str

    async def run(self) -> None:
        """Send events until the stream ends, and that it did."""
        try:
            await self._send()
        except StreamEndedError as end:
            await self._end("cut_off" if end.cut_off else "ended", end.detail, self.reader.cursor)
        except (ConnectionResetError, TimeoutError):
            raise
        except Exception:
            log.exception("a stream of events failed")
            await self._end("ended", f"{FAILED} {NOTHING_LOST}", self.told)

    async def _send(self) -> None:
        loop, heartbeat_s = asyncio.get_running_loop(), self.settings.feed_heartbeat_s
        await self._tell_position(self.told)
        check_at = loop.time() + heartbeat_s
        # While nothing happens only the response's own pings notice that the reader has gone.
        while self.response.is_connected():
            event = await self.reader.next(heartbeat_s)
            cursor = self.reader.cursor
            if event is not None:
                await self.response.send(event.document, id=cursor, event=event.type.value)
                self.told = cursor
            elif cursor != self.told:
                await self._tell_position(cursor)
            if loop.time() >= check_at:
                if not await may_still_read(self.request):
                    raise StreamEndedError(NO_LONGER_ALLOWED, cut_off=True)
                check_at = loop.time() + heartbeat_s

    async def _tell_position(self, cursor: str) -> None:
        """An id without an event: the reader remembers it, and a quiet stream is resumed from where it was."""
        async with asyncio.timeout(self.settings.feed_send_timeout_s):
            await self.response.write(f"id: {cursor}\n\n".encode())
        self.told = cursor

    async def _end(self, kind: str, detail: str, cursor: str) -> None:
        await self.response.send(detail, id=cursor, event=f"agentmem.stream.{kind}")


ROUTES: Final = [
    Route("GET", "/v1/event/{event_id}/", status, "read"),
    Route("GET", "/v1/events/stream", stream, "read"),
]
