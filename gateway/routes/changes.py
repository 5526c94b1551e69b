"""Changing and deleting memories. Every write goes through Kafka and is answered when its events are back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from aiohttp import web

from gateway.auth.caller import CALLER, may_read
from gateway.http.bodies import read_body, refuse
from gateway.http.jsonio import json_response
from gateway.http.problems import ApiError, not_found
from gateway.http.routing import Route
from gateway.http.wire import STATUS, memory_json
from gateway.openapi.operation import operation
from gateway.openapi.parameters import Conditional, Idempotent
from gateway.services import SERVICES
from gateway.shapes.requests import Accepted, Deleted, Updated
from gateway.writes.bodies import DeleteQuery, ResetQuery, ScopeQuery, UpdateBody
from gateway.writes.changing import (
    etag,
    parse_delete,
    parse_delete_all,
    parse_if_match,
    parse_memory_id,
    parse_update,
)
from gateway.writes.idempotency import request_id_of
from gateway.writes.scopes import parse_target
from schemas.history import RequestStatus
from schemas.requests import MemoryRequest
from schemas.scope import ENTITY_FIELDS, Scope


@operation(
    body=UpdateBody,
    example={"text": "I play the viola", "metadata": {"source": "chat"}},
    headers=Conditional,
    answers={200: Updated},
    problems=(404, 412, 422),
)
async def update(request: web.Request) -> web.Response:
    """Change a memory's text, metadata or expiry. With ``If-Match`` only that version of it, else 412.

    The memory is in the answer to a key that may read.
    """
    services, project = request.app[SERVICES], request[CALLER].project
    version = parse_if_match(request.headers.get("If-Match"))
    body = read_body(request, keep=("expiration_date",))
    document, id = await _change(
        request,
        lambda scope, id, request_id: parse_update(scope, id, body, request_id, version),
        "The memory was updated.",
    )
    done = may_read(request) and document["status"] == STATUS[RequestStatus.SUCCEEDED]
    memory = await services.call(services.database.memory, project, id, True) if done else None
    if memory is None:
        return json_response({"id": str(id), **document})
    known = memory_json(memory)
    return json_response({**known, "text": memory.text, **document}, headers={"ETag": etag(memory.version)})


@operation(query=DeleteQuery, headers=Conditional, answers={200: Deleted}, problems=(404, 412, 422))
async def delete(request: web.Request) -> web.Response:
    """Delete a memory; its history stays. With ``If-Match`` only that version of it, else 412."""
    refuse({name: value for name, value in request.query.items() if value.lower() != "false"}, ["delete_linked"])
    version = parse_if_match(request.headers.get("If-Match"))
    document, id = await _change(
        request,
        lambda scope, id, request_id: parse_delete(scope, id, request_id, version),
        "The memory was deleted.",
    )
    return json_response({"id": str(id), **document})


@operation(query=ScopeQuery, headers=Idempotent, answers={200: Accepted}, problems=(422,))
async def delete_by_scope(request: web.Request) -> web.Response:
    """Delete what has the entity ids in the query; ``*`` is any id, all four ``*`` everything in the project."""
    scope, present = parse_target(request[CALLER].project, request.query)
    return json_response(await delete_all(request, scope, present))


@operation(query=ResetQuery, headers=Idempotent, answers={200: Accepted}, problems=(422,))
async def reset(request: web.Request) -> web.Response:
    """Delete every memory of the project. ``confirm`` in the query must be the project's id."""
    project = request[CALLER].project
    if request.query.get("confirm") != project:
        detail = f"confirm: this deletes every memory of the project; send ?confirm={project} if you mean it."
        raise ApiError(400, "not_confirmed", detail, field="confirm")
    return json_response(await delete_all(request, Scope(project), ENTITY_FIELDS))


async def delete_all(request: web.Request, scope: Scope, present: tuple[str, ...]) -> Accepted:
    """Carry out a ``delete_all`` and say how far it is."""
    wanted = parse_delete_all(scope, present, request_id_of(request, scope.project))
    return await _submit(request, wanted, "The memories were deleted.")


async def _change(
    request: web.Request, make: Callable[[Scope, UUID, str], MemoryRequest], done: str
) -> tuple[Accepted, UUID]:
    services, project = request.app[SERVICES], request[CALLER].project
    id = parse_memory_id(request.match_info["memory_id"])
    request_id = request_id_of(request, project)
    memory = (await services.call(services.database.browsing.stored, project, [id])).get(id)
    if memory is None:
        raise not_found()
    # A delete that is repeated finds its memory deleted: by itself, if its request is known.
    if (
        memory.deleted_at is not None
        and await services.call(services.database.outcome, project, request_id) is None
    ):
        raise not_found()
    return await _submit(request, make(memory.scope, id, request_id), done), id


async def _submit(request: web.Request, wanted: MemoryRequest, done: str) -> Accepted:
    progress = await request.app[SERVICES].publisher.submit_and_wait(wanted)
    if (refusal := progress.refusal(wanted.request_id)) is not None:
        raise refusal
    message = done if progress.done else "The request was accepted and will be carried out."
    return {"message": message, "event_id": wanted.request_id, "status": STATUS[progress.status]}


ROUTES: Final = [
    Route("DELETE", "/v1/memories/reset/", reset, "admin"),
    Route("PUT", "/v1/memories/{memory_id}/", update, "write"),
    Route("DELETE", "/v1/memories/{memory_id}/", delete, "write"),
    Route("DELETE", "/v1/memories/", delete_by_scope, "write"),
]
