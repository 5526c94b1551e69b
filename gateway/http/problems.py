"""Errors on the wire: RFC 9457 problem documents that also carry the ``error`` that mem0's clients read."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, get_args

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.http.jsonio import dumps
from gateway.http.routing import route_label
from gateway.settings import GatewaySettings
from infra.postgres.bounded import TooLargeError
from infra.telemetry.metrics import HTTP_REQUESTS, HTTP_SECONDS
from schemas.problems import AlreadyMadeError, MisconfiguredError, StoreUnavailableError

log = logging.getLogger(__name__)

REQUEST_ID: Final = web.RequestKey("request_id", str)
REQUEST_ID_HEADER: Final = "X-Request-ID"


class ApiError(Exception):
    """An answer that is an error.

    ``detail`` is one sentence for people, ``code`` a stable name for programs; ``extra`` members are added to
    the document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra


_Expected = (
    web.HTTPException | ApiError | AlreadyMadeError | TooLargeError | StoreUnavailableError | MisconfiguredError
)
_EXPECTED: Final = get_args(_Expected)


def invalid(field: str, detail: str) -> ApiError:
    """A 400 that names the field at fault."""
    return ApiError(400, "invalid_request", f"{field}: {detail}", field=field)


def not_found() -> ApiError:
    """The one 404: unknown ids and other projects' ids must not be told apart."""
    return ApiError(404, "not_found", "There is nothing with this id.")


def problem_document(status: int, code: str, detail: str, request_id: str) -> dict[str, Any]:
    """The members that every problem has."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error": detail,
        "code": code,
        "request_id": request_id,
    }


def problem_response(request: web.Request, problem: ApiError) -> web.Response:
    """The problem as a response."""
    document = problem_document(problem.status, problem.code, problem.detail, request[REQUEST_ID]) | problem.extra
    # mem0's clients look into an error only where it says application/json; they always send this header.
    plain = "Mem0-User-ID" in request.headers
    return web.Response(
        status=problem.status,
        body=dumps(document),
        content_type="application/json" if plain else "application/problem+json",
        headers=problem.headers,
    )


def problems_middleware(settings: GatewaySettings) -> Middleware:
    """Counts each call, and turns every failure into a problem; inside of the access log, which gives the id."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response: web.StreamResponse
        try:
            response = await handler(request)
        except _EXPECTED as error:
            if _has_begun(request):
                raise
            response = problem_response(request, _as_problem(error, settings.retry_after_s))
            # It holds the frames that it came through, with the body of the call. One that names it holds it, too,
            # and all that would stay until a full garbage collection.
            error.with_traceback(None)
        except Exception:
            # Nobody is left to be told, or can be: aiohttp logs it, and ends the connection.
            if request.transport is None or _has_begun(request):
                raise
            log.exception("%s %s failed", request.method, request.path)
            problem = ApiError(500, "internal_error", "The gateway failed; its log knows the request id.")
            response = problem_response(request, problem)
        label = route_label(request)
        HTTP_REQUESTS.labels(request.method, label, str(response.status)).inc()
        HTTP_SECONDS.labels(label).observe(time.perf_counter() - started)
        return response

    return middleware


def _has_begun(request: web.Request) -> bool:
    """Whether some of an answer was sent: another one would be taken for more of it."""
    return bool(request.writer.output_size)


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: every answer carries its request id, streams too."""
    if REQUEST_ID in request:
        response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]


def _as_problem(error: _Expected, retry_after_s: int) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AlreadyMadeError):
        return ApiError(
            409,
            "already_made",
            f"An earlier call with this Idempotency-Key made {error.id}. What it answered is not shown again.",
            id=str(error.id),
        )
    if isinstance(error, TooLargeError):
        return ApiError(
            400, "answer_too_large", "These memories are too large for one answer: ask for fewer at a time."
        )
    if isinstance(error, StoreUnavailableError):
        log.warning("%s", error)
        return ApiError(
            503,
            "unavailable",
            f"{error.component} cannot be reached; try again in {retry_after_s} s.",
            headers={"Retry-After": str(retry_after_s)},
        )
    if isinstance(error, MisconfiguredError):
        log.error("%s", error)
        return ApiError(
            503,
            "misconfigured",
            "The gateway is not set up rightly; its log says what to do.",
            headers={"Retry-After": str(retry_after_s)},
        )
    if isinstance(error, web.HTTPNotFound):
        return ApiError(404, "no_such_route", "There is no such path.")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return ApiError(405, "method_not_allowed", f"This path takes {allowed}.", headers={"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ApiError(413, "too_large", "The body is larger than the gateway takes.")
    return ApiError(error.status, "http_error", error.reason)
