"""Identity that makes redelivery harmless: ids and hashes that follow from the request alone."""

from __future__ import annotations

import hashlib
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from schemas.jsonvalues import MAX_DEPTH, canonical_value

_NAMESPACE: Final = UUID("6f1a3c52-5d0e-5c0b-9d5f-0a6b6d1f2e77")


def _uuid(*parts: str | int) -> UUID:
    # A JSON array keeps the parts apart whatever characters they hold.
    return uuid5(_NAMESPACE, orjson.dumps(parts).decode())


def memory_id(project: str, request_id: str, index: int) -> UUID:
    """The id of the memory that message ``index`` of an ``add`` makes."""
    return _uuid("memory", project, request_id, index)


def event_id(project: str, request_id: str, index: int, kind: str) -> UUID:
    """The id of event ``index`` of a request; the same again whenever the event is announced again."""
    return _uuid("event", project, request_id, index, kind)


def content_hash(canonical: dict[str, Any]) -> str:
    """SHA-256, in hex, of a request's canonical form (64 characters).

    Neither the order of keys nor the spelling of numbers matters: a request kept in the database and published
    again has the hash of the first time. Raises ``ValueError`` for NaN and infinity.
    """
    document = orjson.dumps(canonical_value(canonical, MAX_DEPTH + 1), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(document).hexdigest()
