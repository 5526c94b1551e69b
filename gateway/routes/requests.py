"""What was asked for lately."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.auth.caller import CALLER
from gateway.http.jsonio import json_response
from gateway.http.routing import Route
from gateway.http.wire import outcome_json, page_json
from gateway.openapi.operation import operation
from gateway.search.querying import Paging, parse_page
from gateway.services import SERVICES
from gateway.shapes.requests import EventPage


@operation(query=Paging, answers={200: EventPage})
async def list_requests(request: web.Request) -> web.Response:
    """A page of the project's requests and how far each has come, latest first."""
    services, page = request.app[SERVICES], parse_page(request.query)
    browsing = services.database.browsing
    count, found = await services.call(browsing.requests, request[CALLER].project, page.page_size, page.offset)
    results = [outcome_json(outcome, changes) for outcome, changes in found]
    return json_response(page_json(request.url, page, count, results))


ROUTES: Final = [Route("GET", "/v1/events/", list_requests, "read")]
