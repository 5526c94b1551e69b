"""The project's events over a WebSocket: any number of subscriptions come and go on one connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import ValidationError

from gateway.auth.caller import CALLER
from gateway.feeds.hub import FeedFilter, StreamEndedError
from gateway.feeds.readers import Reader
from gateway.http.jsonio import dumps, loads_object
from gateway.http.problems import ApiError
from gateway.http.routing import Route
from gateway.openapi.operation import operation
from gateway.routes.events import FAILED, NO_LONGER_ALLOWED, NOTHING_LOST
from gateway.routes.streaming import make_filter, may_still_read
from gateway.routes.ws_messages import MESSAGES, Ping, Subscribe, Unsubscribe
from gateway.services import SERVICES
from schemas.problems import StoreUnavailableError
from schemas.scope import ENTITY_FIELDS

log = logging.getLogger(__name__)

_MESSAGE_MAX: Final = 16 * 1024
_SUBSCRIPTIONS_MAX: Final = 20


@operation(answers={101: None})
async def websocket(request: web.Request) -> web.WebSocketResponse:
    """The project's events over a WebSocket. Messages subscribe and unsubscribe; each event has its cursor."""
    settings = request.app[SERVICES].settings
    socket = web.WebSocketResponse(heartbeat=settings.feed_heartbeat_s, max_msg_size=_MESSAGE_MAX)
    await socket.prepare(request)
    await _Connection(request, socket).run()
    return socket


@dataclass(slots=True)
class _Subscription:
    """One of a connection's subscriptions; ``told`` is the cursor of the last message that was sent whole."""

    wanted: FeedFilter
    start: str
    task: asyncio.Task[None] | None = None
    told: str | None = None


class _Connection:
    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._request = request
        self._socket = socket
        self._services = request.app[SERVICES]
        self._sending = asyncio.Lock()
        self._subscriptions: dict[str, _Subscription] = {}

    async def run(self) -> None:
        watches = [
            asyncio.create_task(self._watch(end)) for end in (self._end_at_stop, self._end_without_permission)
        ]
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.TEXT:
                    break
                await self._receive(message.data)
        except (ConnectionResetError, TimeoutError):
            pass  # the reader has gone, or takes nothing any more
        finally:
            tasks = [*watches, *self._pumps()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, text: str) -> None:
        try:
            message = MESSAGES.validate_python(loads_object(text.encode()))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"][1:]) or "action"
            await self._send_error("invalid_request", f"{field}: {first['msg']}")
        except ValueError as error:
            await self._send_error("invalid_json", str(error))
        else:
            match message:
                case Subscribe():
                    await self._subscribe(message)
                case Unsubscribe():
                    await self._unsubscribe(message.subscription)
                case Ping():
                    await self._send({"type": "pong"})

    async def _subscribe(self, message: Subscribe) -> None:
        name = message.subscription
        if name in self._subscriptions:
            await self._send_error("already_subscribed", "There is a subscription of this name.", name)
        elif len(self._subscriptions) >= _SUBSCRIPTIONS_MAX:
            await self._send_error(
                "too_many_subscriptions", f"A connection takes {_SUBSCRIPTIONS_MAX} subscriptions.", name
            )
        else:
            ids = {field: value for field in ENTITY_FIELDS if (value := getattr(message, field)) is not None}
            try:
                wanted = make_filter(self._request[CALLER].project, ids, message.types, "types")
            except ApiError as error:
                await self._send_error(error.code, error.detail, name)
                return
            self._start(name, _Subscription(wanted, message.start))

    def _start(self, name: str, subscription: _Subscription) -> None:
        self._subscriptions[name] = subscription
        subscription.task = asyncio.create_task(self._pump(name, subscription))
        subscription.task.add_done_callback(lambda _: self._subscriptions.pop(name))

    def _pumps(self) -> list[asyncio.Task[None]]:
        return [one.task for one in self._subscriptions.values() if one.task]

    async def _unsubscribe(self, name: str) -> None:
        subscription = self._subscriptions.get(name)
        if subscription is None or subscription.task is None:
            await self._send_error("not_subscribed", "There is no subscription of this name.", name)
            return
        subscription.task.cancel()
        await asyncio.wait([subscription.task])
        await self._send({"type": "unsubscribed", "subscription": name, "cursor": subscription.told})

    async def _pump(self, name: str, subscription: _Subscription) -> None:
        """Send one subscription's events until it ends, and that it did."""
        try:
            try:
                await self._send_until_end(name, subscription)
            except (ConnectionResetError, TimeoutError):
                raise
            except Exception:
                log.exception("a subscription to events failed")
                if subscription.told is None:
                    await self._send_error("internal_error", FAILED, name)
                else:
                    await self._send_closed("ended", f"{FAILED} {NOTHING_LOST}", name, subscription.told)
        except (ConnectionResetError, TimeoutError):
            self._abort()

    async def _send_until_end(self, name: str, subscription: _Subscription) -> None:
        try:
            async with self._services.readers.open(subscription.wanted, subscription.start) as reader:
                await self._send_with_cursor({"type": "subscribed"}, name, subscription, reader)
                try:
                    await self._send_events(name, subscription, reader)
                except StreamEndedError as end:
                    await self._send_closed("cut_off" if end.cut_off else "ended", end.detail, name, reader.cursor)
        except ApiError as error:
            await self._send_error(error.code, error.detail, name)
        except StoreUnavailableError as error:
            await self._send_error("unavailable", f"{error.component} cannot be reached; try again.", name)

    async def _send_events(self, name: str, subscription: _Subscription, reader: Reader) -> None:
        while True:
            event = await reader.next(self._services.settings.feed_heartbeat_s)
            if event is not None:
                message = {"type": "event", "event": orjson.Fragment(event.document)}
                await self._send_with_cursor(message, name, subscription, reader)
            elif reader.cursor != subscription.told:
                await self._send_with_cursor({"type": "position"}, name, subscription, reader)

    async def _send_with_cursor(
        self, message: dict[str, Any], name: str, subscription: _Subscription, reader: Reader
    ) -> None:
        cursor = reader.cursor
        await self._send({**message, "subscription": name, "cursor": cursor})
        subscription.told = cursor

    async def _watch(self, end: Callable[[], Awaitable[None]]) -> None:
        """End the connection when its time has come, and when nobody could tell that any more."""
        try:
            await end()
        except Exception:
            log.exception("the watch over a WebSocket failed")
            await self._socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"the gateway failed")

    async def _end_at_stop(self) -> None:
        await self._services.readers.stopping.wait()
        await asyncio.gather(*self._pumps(), return_exceptions=True)
        await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the gateway stops")

    async def _end_without_permission(self) -> None:
        while await may_still_read(self._request):  # noqa: ASYNC110  # what ends it lies in a database
            await asyncio.sleep(self._services.settings.feed_heartbeat_s)
        await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=NO_LONGER_ALLOWED.encode())

    async def _send_closed(self, reason: str, detail: str, name: str, cursor: str) -> None:
        await self._send(
            {"type": "closed", "subscription": name, "reason": reason, "detail": detail, "cursor": cursor}
        )

    async def _send_error(self, code: str, detail: str, subscription: str | None = None) -> None:
        about = {"subscription": subscription} if subscription else {}
        await self._send({"type": "error", **about, "code": code, "detail": detail})

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._sending, asyncio.timeout(self._services.settings.feed_send_timeout_s):
            await self._socket.send_str(dumps(message).decode())

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


ROUTES: Final = [Route("GET", "/v1/events/ws", websocket, "read")]
