"""Searching memories."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.auth.caller import CALLER
from gateway.http.bodies import read_body
from gateway.http.jsonio import json_response
from gateway.http.routing import Route
from gateway.http.wire import memory_json
from gateway.openapi.operation import operation
from gateway.search.bodies import SearchBody
from gateway.search.querying import SEARCH_UNSUPPORTED, parse_search
from gateway.services import SERVICES
from gateway.shapes.memories import Search


@operation(
    body=SearchBody,
    example={"query": "What does she play?", "filters": {"user_id": "alice"}, "top_k": 3},
    unsupported=SEARCH_UNSUPPORTED,
    answers={200: Search},
)
async def search(request: web.Request) -> web.Response:
    """The memories nearest in meaning, best first, of those that a filter holds for."""
    query, fields = parse_search(request[CALLER].project, read_body(request))
    found = await request.app[SERVICES].searcher.search(query)
    return json_response({"results": [memory_json(hit.memory, hit.score, fields) for hit in found]})


ROUTES: Final = [Route("POST", f"/{version}/memories/search/", search, "read") for version in ("v3", "v2", "v1")]
