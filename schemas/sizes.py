"""How much a request stores: each message with all the metadata, so many times what it brings."""

from __future__ import annotations

from typing import Final

import orjson

from schemas.jsonvalues import parts_of
from schemas.requests import MemoryRequest

#: What one request may store, in bytes.
MAX_STORED_BYTES: Final = 8 * 1024 * 1024
#: What is stored together, in bytes, when it is more than one request.
TOGETHER_BYTES: Final = 2 * 1024 * 1024
#: What a memory takes beside its text, metadata and ids: its id, its times, the names of its columns.
_ROW_BYTES: Final = 500
#: What a value in metadata takes beside its own bytes, once it was read back.
_PART_BYTES: Final = 64


def stored_size(request: MemoryRequest) -> int:
    """About how many bytes the memories take that the request adds or changes."""
    if request.messages is None:
        count, texts = 1, len(request.text or "")
    else:
        count, texts = len(request.messages), sum(len(message.content) for message in request.messages)
    same = orjson.dumps((request.project, *request.scope.ids.values(), request.metadata))
    parts = parts_of(request.metadata) if request.metadata else 0
    return texts + count * (_ROW_BYTES + len(same) + _PART_BYTES * parts)


def oversize(request: MemoryRequest) -> str | None:
    """What is wrong with a request that would store too much."""
    # One memory takes little more than what the request brought, which has a bound of its own.
    if request.messages is None or len(request.messages) == 1:
        return None
    if (size := stored_size(request)) <= MAX_STORED_BYTES:
        return None
    return (
        f"the request would store {size} bytes of the {MAX_STORED_BYTES} allowed: each of its "
        f"{len(request.messages)} messages is stored with the ids and all the metadata"
    )
