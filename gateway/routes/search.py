"""Searching memories."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.auth import CALLER
from gateway.bodies import parse_search, read_body
from gateway.jsonio import json_response
from gateway.routing import Route
from gateway.services import SERVICES
from gateway.wire import memory_json


async def search(request: web.Request) -> web.Response:
    """The memories nearest in meaning, best first."""
    query = parse_search(request[CALLER].project, await read_body(request))
    found = await request.app[SERVICES].searcher.search(query)
    return json_response({"results": [memory_json(hit.memory, hit.score) for hit in found]})


ROUTES: Final = [Route("POST", "/v3/memories/search/", search, "read")]
