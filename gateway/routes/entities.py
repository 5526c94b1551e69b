"""The users, agents, apps and runs that have memories."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.auth.caller import CALLER
from gateway.http.jsonio import json_response
from gateway.http.problems import invalid
from gateway.http.routing import Route
from gateway.http.wire import entity_json, page_json
from gateway.openapi.operation import operation
from gateway.openapi.parameters import Idempotent
from gateway.routes.changes import delete_all
from gateway.search.querying import Paging, parse_page
from gateway.services import SERVICES
from gateway.shapes.memories import EntityPage
from gateway.shapes.requests import Accepted
from gateway.writes.scopes import parse_scope
from schemas.scope import ENTITY_FIELDS

_KINDS: Final = [field.removesuffix("_id") for field in ENTITY_FIELDS]


@operation(query=Paging, answers={200: EntityPage})
async def list_entities(request: web.Request) -> web.Response:
    """All of them, newest first; a page of them when ``page`` or ``page_size`` asks for one."""
    services, project = request.app[SERVICES], request[CALLER].project
    page = parse_page(request.query) if {"page", "page_size"} & request.query.keys() else None
    limit, offset = (page.page_size, page.offset) if page else (None, 0)
    count, entities = await services.call(services.database.browsing.entities, project, limit, offset)
    results = [entity_json(entity) for entity in entities]
    if page is None:
        return json_response({"count": count, "next": None, "previous": None, "results": results})
    return json_response(page_json(request.url, page, count, results))


@operation(headers=Idempotent, answers={200: Accepted}, problems=(422,))
async def delete(request: web.Request) -> web.Response:
    """Delete the memories of a user, agent, app or run."""
    kind = request.match_info["kind"]
    if kind not in _KINDS:
        raise invalid("kind", f"must be one of {', '.join(_KINDS)}")
    scope = parse_scope(request[CALLER].project, {f"{kind}_id": request.match_info["name"]})
    return json_response(await delete_all(request, scope, ()))


ROUTES: Final = [
    Route("GET", "/v1/entities/", list_entities, "read"),
    Route("DELETE", "/v2/entities/{kind}/{name}/", delete, "write"),
    Route("DELETE", "/v1/entities/{kind}/{name}/", delete, "write"),
]
