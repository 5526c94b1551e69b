"""JSON in and out: bounded, and free of what the stores cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

MAX_DEPTH: Final = 32
#: Values in the objects and arrays of a body at most: as many as 1,000 memories with 50 fields each.
MAX_PARTS: Final = 50_000
#: Characters in one text at most: a model reads the first few hundred words of it anyway.
MAX_TEXT: Final = 500_000


def dumps(value: Any) -> bytes:
    """Compact JSON; datetimes and UUIDs as text."""
    return orjson.dumps(value)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(body=dumps(value), status=status, headers=headers, content_type="application/json")


def loads_object(data: bytes) -> dict[str, Any]:
    """A JSON object; raises ``ValueError`` that says what is wrong.

    U+0000 is refused (Postgres holds no such text), and so are deep nesting and too many values.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")
    check_bounds(value)
    return value


def check_bounds(document: Any) -> None:
    """Raise ``ValueError`` for a JSON value that is too deep, has too many parts or cannot be stored."""
    # A stack of our own, not recursion: the depth is the caller's choice.
    stack: list[tuple[Any, int]] = [(document, 1)]
    parts = 0
    while stack:
        value, depth = stack.pop()
        if isinstance(value, str):
            if "\0" in value:
                raise ValueError("a text holds U+0000, which cannot be stored")
            if len(value) > MAX_TEXT:
                raise ValueError(f"a text has more than {MAX_TEXT} characters")
        elif isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise ValueError(f"the body is nested more than {MAX_DEPTH} levels deep")
            # Before they are looked at: every call waits while one body is.
            parts += len(value)
            if parts > MAX_PARTS:
                raise ValueError(f"the body has more than {MAX_PARTS} values in its objects and arrays")
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            stack.extend((item, depth + 1) for item in inner)
