"""The ids of requests: new ones, or those that follow from the caller's ``Idempotency-Key``."""

from __future__ import annotations

from typing import Final
from uuid import NAMESPACE_URL, uuid4, uuid5

import orjson
from aiohttp import web

from gateway.http.problems import invalid

HEADER: Final = "Idempotency-Key"
_KEY_MAX: Final = 255


def request_id_of(request: web.Request, project: str) -> str:
    """The id of the request that a call makes: with the same key, the same for the same call."""
    key = request.headers.get(HEADER)
    return str(uuid4()) if key is None else keyed_id(project, request.method, request.rel_url.raw_path, key)


def keyed_id(project: str, method: str, path: str, key: str) -> str:
    """The id that follows from a key, in its project and for its method and path."""
    if not (1 <= len(key) <= _KEY_MAX and key.isascii() and key.isprintable()):
        raise invalid(HEADER, f"must be 1 to {_KEY_MAX} printable ASCII characters")
    return _uuid("idempotency-key", project, method, "/".join(filter(None, path.split("/"))), key)


def part_id(request_id: str, number: int) -> str:
    """The id of one of the requests that a batch is made of."""
    return _uuid("part", request_id, number)


def _uuid(*parts: str | int) -> str:
    return str(uuid5(NAMESPACE_URL, "agentmem:" + orjson.dumps(parts).decode()))
