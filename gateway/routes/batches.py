"""Many memories in one call. Each item is a request of its own."""

from __future__ import annotations

from typing import Any, Final, cast
from uuid import UUID

from aiohttp import web

from gateway.auth.caller import CALLER
from gateway.http.bodies import items_of, read_body
from gateway.http.jsonio import json_response
from gateway.http.problems import ApiError
from gateway.http.routing import Route
from gateway.openapi.operation import operation
from gateway.openapi.parameters import EXAMPLE_ID, Idempotent
from gateway.services import SERVICES
from gateway.shapes.requests import BatchAdded, BatchChanged, ItemError
from gateway.writes.adding import ADD_UNSUPPORTED, parse_item
from gateway.writes.bodies import BATCH_MAX, BatchAddBody, BatchDeleteBody, BatchUpdateBody
from gateway.writes.changing import parse_delete, parse_memory_id, parse_update
from gateway.writes.idempotency import part_id, request_id_of
from infra.postgres.browsing import StoredMemory
from schemas.identity import memory_id
from schemas.requests import MemoryRequest


@operation(
    body=BatchAddBody,
    example={"memories": [{"content": "I play the violin", "user_id": "alice"}]},
    unsupported=ADD_UNSUPPORTED,
    headers=Idempotent,
    answers={200: BatchAdded},
    problems=(422,),
)
async def add(request: web.Request) -> web.Response:
    """Add up to 1,000 memories, each with its ``content`` and scope. What is wrong with one harms only itself."""
    project = request[CALLER].project
    items = items_of(read_body(request), BATCH_MAX)
    batch_id = request_id_of(request, project)
    requests: dict[int, MemoryRequest] = {}
    errors: list[ItemError] = []
    for number, item in enumerate(items):
        try:
            requests[number] = parse_item(project, item, part_id(batch_id, number))
        except ApiError as error:
            errors.append(_error(number, error))
    errors += await _failures(request, requests)
    failed = {error["index"] for error in errors}
    ids = [str(memory_id(project, one.request_id, 0)) for n, one in requests.items() if n not in failed]
    errors.sort(key=lambda error: error["index"])
    return json_response({"ids": ids, "success_count": len(ids), "fail_count": len(errors), "errors": errors})


@operation(
    body=BatchUpdateBody,
    example={"memories": [{"memory_id": EXAMPLE_ID, "text": "I play the viola"}]},
    headers=Idempotent,
    answers={200: BatchChanged},
    problems=(404, 422),
)
async def update(request: web.Request) -> web.Response:
    """Change up to 1,000 memories, each named by its ``memory_id``; all of them must be there."""
    items = items_of(read_body(request), BATCH_MAX)
    batch_id = request_id_of(request, request[CALLER].project)
    memories = await _memories(request, items)
    return await _carry_out(
        request,
        [
            parse_update(
                memory.scope,
                memory.id,
                {key: value for key, value in item.items() if value is not None or key == "expiration_date"},
                part_id(batch_id, number),
            )
            for number, (memory, item) in enumerate(zip(memories, items, strict=True))
        ],
        "updated",
    )


@operation(
    body=BatchDeleteBody,
    example={"memories": [{"memory_id": EXAMPLE_ID}]},
    headers=Idempotent,
    answers={200: BatchChanged},
    problems=(404, 422),
)
async def delete(request: web.Request) -> web.Response:
    """Delete up to 1,000 memories, each named by its ``memory_id``; all of them must be there."""
    items = items_of(read_body(request), BATCH_MAX)
    batch_id = request_id_of(request, request[CALLER].project)
    memories = await _memories(request, items)
    requests = [
        parse_delete(memory.scope, memory.id, part_id(batch_id, number)) for number, memory in enumerate(memories)
    ]
    return await _carry_out(request, requests, "deleted")


async def _memories(request: web.Request, items: list[Any]) -> list[StoredMemory]:
    """The stored memories that the items name; 404 for all if one is not the project's."""
    services = request.app[SERVICES]
    ids = [parse_memory_id(item.get("memory_id"), f"memories.{n}.memory_id") for n, item in enumerate(items)]
    stored: dict[UUID, StoredMemory] = await services.call(
        services.database.browsing.stored, request[CALLER].project, ids
    )
    if unknown := [str(id) for id in dict.fromkeys(ids) if id not in stored]:
        raise ApiError(404, "not_found", "There are no memories with some of these ids.", memory_ids=unknown)
    return [stored[id] for id in ids]


async def _carry_out(request: web.Request, requests: list[MemoryRequest], done: str) -> web.Response:
    errors = await _failures(request, dict(enumerate(requests)))
    for error in errors:
        error["memory_id"] = str(requests[error["index"]].memory_id)
    succeeded = len(requests) - len(errors)
    document = {"success_count": succeeded, "fail_count": len(errors), "errors": errors}
    return json_response({"message": f"{succeeded} of {len(requests)} memories were {done}.", **document})


async def _failures(request: web.Request, requests: dict[int, MemoryRequest]) -> list[ItemError]:
    """Carry out these requests; what went wrong, by their numbers."""
    if not requests:
        return []
    answers = await request.app[SERVICES].publisher.submit_all_and_wait(list(requests.values()))
    return [
        _error(number, refusal)
        for (number, one), progress in zip(requests.items(), answers, strict=True)
        if (refusal := progress.refusal(one.request_id)) is not None
    ]


def _error(number: int, error: ApiError) -> ItemError:
    about: ItemError = {"index": number, "code": error.code, "detail": error.detail}
    return cast(ItemError, {**about, **error.extra})


ROUTES: Final = [
    Route("POST", "/v1/memories/batch/", add, "write"),
    Route("PUT", "/v1/batch/", update, "write"),
    Route("DELETE", "/v1/batch/", delete, "write"),
]
