"""Adding, listing and reading memories."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from gateway.auth.caller import CALLER, require_scope
from gateway.http.bodies import read_body, validated
from gateway.http.jsonio import check_bounds, json_response
from gateway.http.problems import ApiError, not_found
from gateway.http.routing import EITHER, Route
from gateway.http.wire import STATUS, history_json, memory_json, page_json, results_json
from gateway.openapi.operation import operation
from gateway.openapi.parameters import Idempotent
from gateway.search.bodies import ListBody, ListQuery
from gateway.search.querying import LIST_UNSUPPORTED, Moment, Page, parse_list
from gateway.services import SERVICES
from gateway.shapes.memories import HistoryLine, Memory, MemoryPage
from gateway.shapes.requests import Added
from gateway.writes.adding import ADD_UNSUPPORTED, parse_add
from gateway.writes.bodies import AddBody
from gateway.writes.changing import etag, parse_memory_id
from gateway.writes.idempotency import request_id_of
from gateway.writes.scopes import read_filters
from infra.postgres.bounded import TooLargeError

_ADD: Final = {
    "messages": [{"role": "user", "content": "I play the violin"}],
    "user_id": "alice",
    "infer": False,
    "metadata": {"source": "chat"},
}
_LIST: Final = {"filters": {"AND": [{"user_id": "alice"}, {"metadata": {"source": "chat"}}]}, "page_size": 20}


_adding = operation(
    body=AddBody,
    example=_ADD,
    unsupported=ADD_UNSUPPORTED,
    headers=Idempotent,
    answers={200: Added},
    problems=(422,),
)


@_adding
async def add(request: web.Request) -> web.Response:
    """Accept messages. With ``infer: false`` the answer waits until they are memories."""
    return await _add(request, read_body(request))


@_adding
async def add_and_wait(request: web.Request) -> web.Response:
    """Accept messages and answer when they are memories, as the self-hosted server does."""
    return await _add(request, read_body(request), wait=True)


@operation(
    body=AddBody | ListBody,
    example=_ADD,
    unsupported=tuple(sorted({*ADD_UNSUPPORTED, *LIST_UNSUPPORTED})),
    query=Page,
    headers=Idempotent,
    answers={200: Added | MemoryPage},
    problems=(422,),
)
async def add_or_list(request: web.Request) -> web.Response:
    """With ``messages`` an add (scope ``write``), else a list (``read``): some clients mean that by this path."""
    body = read_body(request)
    adds = "messages" in body
    require_scope(request, "write" if adds else "read")
    return await (_add(request, body) if adds else _list(request, body))


@operation(body=ListBody, example=_LIST, unsupported=LIST_UNSUPPORTED, query=Page, answers={200: MemoryPage})
async def list_memories(request: web.Request) -> web.Response:
    """A page of the memories that a filter holds for, newest first; ``as_of`` lists those of a past moment."""
    return await _list(request, read_body(request))


@operation(query=ListQuery, unsupported=LIST_UNSUPPORTED, answers={200: MemoryPage})
async def list_by_query(request: web.Request) -> web.Response:
    """As ``POST /v3/memories/``, with everything in the query; ``filters`` is JSON."""
    query: dict[str, Any] = dict(request.query)
    try:
        check_bounds(query)
    except ValueError as error:
        raise ApiError(400, "invalid_request", str(error)) from error
    if "filters" in query:
        query["filters"] = read_filters(query["filters"])
    return await _list(request, query)


@operation(query=Moment, answers={200: Memory}, answer_headers=("ETag",), problems=(404,))
async def get(request: web.Request) -> web.Response:
    """One live memory, with its version as ``ETag``; ``as_of`` shows it as it was at a past moment."""
    services = request.app[SERVICES]
    project, id = request[CALLER].project, parse_memory_id(request.match_info["memory_id"])
    moment = validated(Moment, request.query)
    if moment.as_of is None:
        memory = await services.call(services.database.memory, project, id, moment.show_expired)
    else:
        browsing = services.database.browsing
        memory = await services.call(browsing.memory_at, project, id, moment.as_of, moment.show_expired)
    if memory is None:
        raise not_found()
    return json_response(memory_json(memory), headers={"ETag": etag(memory.version)})


@operation(answers={200: list[HistoryLine]}, problems=(404,))
async def history(request: web.Request) -> web.Response:
    """Every version of a memory, oldest first, also of a deleted one."""
    services = request.app[SERVICES]
    id = parse_memory_id(request.match_info["memory_id"])
    try:
        entries = await services.call(services.database.history, request[CALLER].project, id)
    except TooLargeError as error:
        detail = "This history is too large for one answer: ask for the memory as_of a past moment."
        raise ApiError(400, "answer_too_large", detail) from error
    if not entries:
        raise not_found()
    return json_response([history_json(entry) for entry in entries])


async def _add(request: web.Request, body: dict[str, Any], wait: bool = False) -> web.Response:
    publisher, project = request.app[SERVICES].publisher, request[CALLER].project
    memory_request = parse_add(project, body, request_id_of(request, project))
    event_id = memory_request.request_id
    answer: dict[str, Any] = {"event_id": event_id, "message": "The messages were accepted and will be stored."}
    if memory_request.infer and not wait:
        progress = await publisher.submit(memory_request)
    else:
        progress = await publisher.submit_and_wait(memory_request)
        if (refusal := progress.refusal(event_id)) is not None:
            raise refusal
        if progress.done:
            answer |= {"message": "The messages were stored.", "results": results_json(progress)}
    return json_response(answer | {"status": STATUS[progress.status]})


async def _list(request: web.Request, body: dict[str, Any]) -> web.Response:
    services = request.app[SERVICES]
    selection, page = parse_list(request[CALLER].project, body, request.query)
    count, memories = await services.call(
        services.database.list_memories,
        selection.scope,
        page.page_size,
        page.offset,
        page.show_expired,
        selection.where,
        page.as_of,
    )
    return json_response(page_json(request.url, page, count, [memory_json(memory) for memory in memories]))


ROUTES: Final = [
    Route("POST", "/v3/memories/add/", add, "write"),
    Route("POST", "/v2/memories/", add_or_list, EITHER),
    Route("POST", "/v1/memories/", add, "write"),
    Route("POST", "/v3/memories/", list_memories, "read"),
    Route("GET", "/v1/memories/", list_by_query, "read"),
    Route("GET", "/v1/memories/{memory_id}/", get, "read"),
    Route("GET", "/v1/memories/{memory_id}/history/", history, "read"),
]
