"""Connections: how many, how slow, and what is said to one that does not speak HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast
from uuid import uuid4

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from gateway.http.jsonio import dumps
from gateway.http.problems import problem_document
from gateway.settings_limits import LimitSettings
from infra.telemetry.metrics import CONNECTIONS, CONNECTIONS_REFUSED, CONNECTIONS_SLOW

#: How long a caller that takes none of its answer is waited for.
_SEND_TIMEOUT_MS: Final = 60_000
#: How long the rest of a body that is not wanted is read and dropped, before the connection is closed.
_LINGER_S: Final = 2.0


class Protocol(RequestHandler):
    """One connection. It is closed when a request's header takes too long, and answers nonsense with a problem."""

    __slots__ = ("_header_handle", "_settings")

    def __init__(self, *args: Any, settings: LimitSettings, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settings = settings
        self._header_handle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse the connection when there are too many."""
        server = cast(Server, self._manager)
        super().connection_made(transport)
        CONNECTIONS.set(len(server.connections))
        if len(server.connections) > server.connections_max:
            CONNECTIONS_REFUSED.inc()
            cast(asyncio.Transport, transport).write(_TOO_MANY)
            self.force_close()
            return
        _give_up_on_silence(transport)
        self._await_header()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._header_arrived()
        server = self._manager
        super().connection_lost(exc)
        if server is not None:
            CONNECTIONS.set(len(server.connections))

    def data_received(self, data: bytes) -> None:
        """Begin to wait for the rest of a header with its first bytes."""
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._header_arrived()
        elif self._header_handle is None and self._is_idle():
            self._await_header()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The problem document for what is no proper request; it closes the connection."""
        if isinstance(exc, LineTooLong) or "Too many headers" in str(exc):
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if status >= 500:
            super().handle_error(request, status, exc, message)  # logs it
        body, headers = _problem(status)
        response = web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer. An error of aiohttp's own came past the middlewares: only ``Expect`` leads to one."""
        if isinstance(resp, web.HTTPException):
            resp = self.handle_error(request, resp.status)
        return await super().finish_response(request, resp, start_time)

    def _await_header(self) -> None:
        self._header_handle = self._loop.call_later(self._settings.header_timeout_s, self._header_is_late)

    def _header_arrived(self) -> None:
        if self._header_handle is not None:
            self._header_handle.cancel()
            self._header_handle = None

    def _header_is_late(self) -> None:
        self._header_handle = None
        if self._is_idle():
            CONNECTIONS_SLOW.inc()
            self.force_close()

    def _is_idle(self) -> bool:
        """Whether no request is being answered: the next one is waited for."""
        return self._waiter is not None and not self._waiter.done()


class Server(web.Server):
    """Makes the connections."""

    def __init__(self, server: web.Server, settings: LimitSettings) -> None:
        super().__init__(server.request_handler, request_factory=server.request_factory, **server._kwargs)
        self.connections_max = settings.connections_max
        self._settings = settings

    def __call__(self) -> RequestHandler:
        return Protocol(self, loop=self._loop, settings=self._settings, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application on such connections."""

    def __init__(self, app: web.Application, settings: LimitSettings, **options: Any) -> None:
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=settings.idle_timeout_s,
            lingering_time=_LINGER_S,
            max_line_size=settings.header_max_bytes,
            max_field_size=settings.header_max_bytes,
            **options,
        )
        self._settings = settings

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server(), self._settings)


def _give_up_on_silence(transport: asyncio.BaseTransport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SEND_TIMEOUT_MS)


_DETAILS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("malformed_request", "This is not an HTTP request that the gateway understands."),
    417: ("unknown_expectation", "Expect: this header can only say 100-continue."),
    431: ("header_too_large", "The header is larger than the gateway takes."),
    503: ("too_many_connections", "The gateway has as many connections as it takes."),
}
_HEADERS: Final = {"Server": "AgentMem", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def _problem(status: int) -> tuple[bytes, dict[str, str]]:
    """Body and headers."""
    code, detail = _DETAILS.get(status, ("internal_error", "The gateway failed."))
    request_id = str(uuid4())
    return dumps(problem_document(status, code, detail, request_id)), {**_HEADERS, "X-Request-ID": request_id}


def _refusal() -> bytes:
    body, headers = _problem(503)
    headers |= {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Retry-After": "10",
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode() + body


_TOO_MANY: Final = _refusal()
