"""Adding, listing and reading memories."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from aiohttp import web

from gateway.auth import CALLER
from gateway.bodies import Page, parse_add, parse_list, read_body
from gateway.jsonio import json_response
from gateway.problems import ApiError, invalid, not_found
from gateway.progress import Progress
from gateway.routing import Route
from gateway.services import SERVICES
from gateway.wire import STATUS, history_json, memory_json, results_json
from schemas.history import RequestStatus


async def add(request: web.Request) -> web.Response:
    """Accept messages. With ``infer: false`` the answer waits until they are memories."""
    publisher = request.app[SERVICES].publisher
    body = await read_body(request)
    memory_request = parse_add(request[CALLER].project, body, request.headers.get("Idempotency-Key"))
    event_id = memory_request.request_id
    answer: dict[str, Any] = {"event_id": event_id}
    if memory_request.infer:
        progress = await publisher.submit(memory_request)
        answer |= {"message": "The messages were accepted.", "status": STATUS[progress.status]}
        return json_response(answer)
    progress = await publisher.submit_and_wait(memory_request)
    if progress.status is RequestStatus.FAILED:
        raise _failed(progress, event_id)
    if progress.status is RequestStatus.SUCCEEDED:
        answer |= {"message": "The messages were stored.", "results": results_json(progress)}
    else:
        answer |= {"message": "The messages were accepted and will be stored."}
    return json_response(answer | {"status": STATUS[progress.status]})


async def list_memories(request: web.Request) -> web.Response:
    """A page of the memories of a scope, newest first."""
    services = request.app[SERVICES]
    scope, page = parse_list(request[CALLER].project, await read_body(request), request.query)
    count, memories = await services.call(
        services.database.list_memories, scope, page.page_size, page.offset, page.show_expired
    )
    return json_response(
        {
            "count": count,
            "next": _page_url(request, page, page.page + 1) if page.offset + page.page_size < count else None,
            "previous": _page_url(request, page, page.page - 1) if page.page > 1 else None,
            "results": [memory_json(memory) for memory in memories],
        }
    )


async def get(request: web.Request) -> web.Response:
    """One live memory."""
    services = request.app[SERVICES]
    memory = await services.call(services.database.memory, request[CALLER].project, _memory_id(request))
    if memory is None:
        raise not_found()
    return json_response(memory_json(memory))


async def history(request: web.Request) -> web.Response:
    """Every version of a memory, oldest first, also of a deleted one."""
    services = request.app[SERVICES]
    entries = await services.call(services.database.history, request[CALLER].project, _memory_id(request))
    if not entries:
        raise not_found()
    return json_response([history_json(entry) for entry in entries])


ROUTES: Final = [
    Route("POST", "/v3/memories/add/", add, "write"),
    Route("POST", "/v3/memories/", list_memories, "read"),
    Route("GET", "/v1/memories/{memory_id}/", get, "read"),
    Route("GET", "/v1/memories/{memory_id}/history/", history, "read"),
]


def _memory_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["memory_id"])
    except ValueError as error:
        raise invalid("memory_id", "must be a UUID") from error


def _page_url(request: web.Request, page: Page, number: int) -> str:
    return str(request.url.with_query(page=number, page_size=page.page_size))


def _failed(progress: Progress, event_id: str) -> ApiError:
    detail = progress.detail or "The request could not be carried out."
    return ApiError(422, progress.reason or "failed", detail, event_id=event_id)
