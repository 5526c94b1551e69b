"""What this gateway says of itself: documents for programs, pages for people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from aiohttp import ETag, web

from gateway.http.jsonio import dumps
from gateway.http.problems import not_found
from gateway.http.routing import ROUTES as SERVED
from gateway.http.routing import Route
from gateway.openapi.assets import ASSETS, MEDIA_TYPES, PAGES
from gateway.openapi.document import openapi_document
from gateway.openapi.operation import Text, operation
from schemas.asyncapi import asyncapi_document

#: Scripts and styles of this gateway alone, and calls to it alone.
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NOT_CHANGED: Final = {304: None}


@operation(answers={200: dict[str, Any], **_NOT_CHANGED})
async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document of the gateway."""
    return _answer(request, _openapi(tuple(request.app[SERVED].values())), "application/json")


@operation(answers={200: dict[str, Any], **_NOT_CHANGED})
async def asyncapi(request: web.Request) -> web.Response:
    """The AsyncAPI 3.0 document of the topics, requests and events."""
    return _answer(request, _asyncapi(), "application/json")


@operation(answers={200: Text(("text/html",)), **_NOT_CHANGED})
async def http_page(request: web.Request) -> web.Response:
    """The HTTP interface as a page, on which calls can be tried."""
    return _page(request, "http.html")


@operation(answers={200: Text(("text/html",)), **_NOT_CHANGED})
async def events_page(request: web.Request) -> web.Response:
    """The topics, requests and events as a page."""
    return _page(request, "events.html")


@operation(answers={200: Text(MEDIA_TYPES), **_NOT_CHANGED}, problems=(404,))
async def asset(request: web.Request) -> web.Response:
    """A script or style of the pages."""
    found = ASSETS.get(request.match_info["asset"])
    if found is None:
        raise not_found()
    path, media_type = found
    return _answer(request, _read(path), media_type)


@cache
def _openapi(routes: tuple[Route, ...]) -> bytes:
    return dumps(openapi_document(routes))


@cache
def _asyncapi() -> bytes:
    return dumps(asyncapi_document())


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _tag(body: bytes) -> ETag:
    return ETag(sha256(body).hexdigest()[:32])


def _page(request: web.Request, name: str) -> web.Response:
    return _answer(request, _read(PAGES / name), "text/html", {"Content-Security-Policy": _PAGE_POLICY})


def _answer(
    request: web.Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The file; or only that it has not changed, to one who has it."""
    tag = _tag(body)
    if tag in (request.if_none_match or ()):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=body, content_type=media_type, charset="utf-8", headers=headers)
    response.etag = tag
    response.headers["Cache-Control"] = "no-cache"
    return response


ROUTES: Final = [
    Route("GET", "/openapi.json", openapi, None),
    Route("GET", "/asyncapi.json", asyncapi, None),
    Route("GET", "/docs", http_page, None),
    Route("GET", "/docs/events", events_page, None),
    Route("GET", "/docs/assets/{asset}", asset, None),
]
