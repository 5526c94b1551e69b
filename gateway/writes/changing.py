"""From calls that change or delete memories to requests. Their keys are those of the stored scope."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from gateway.http.bodies import validated
from gateway.http.problems import ApiError, invalid
from schemas.requests import MemoryRequest
from schemas.scope import Scope

_CHANGES: Final = ("text", "metadata", "expiration_date")
_ETAG: Final = re.compile(r'"([1-9][0-9]{0,8})"')


def etag(version: int) -> str:
    """The ETag of a memory's version."""
    return f'"{version}"'


def parse_memory_id(value: Any, path: str = "memory_id") -> UUID:
    """The memory id in a path or a body."""
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise invalid(path, "must be a UUID") from error


def parse_if_match(header: str | None) -> int | None:
    """The version that an ``If-Match`` asks for; ``*`` asks for any."""
    if header is None or header.strip() == "*":
        return None
    found = _ETAG.fullmatch(header.strip())
    if found is None:
        raise invalid("If-Match", "must be the ETag of one version, as a GET of the memory returns it, or *")
    return int(found[1])


def parse_update(
    scope: Scope, id: UUID, body: Mapping[str, Any], request_id: str, expected_version: int | None = None
) -> MemoryRequest:
    """The ``update`` request of a body with ``text``, ``metadata`` or ``expiration_date`` (null removes it)."""
    changes = {name: body[name] for name in _CHANGES if name in body}
    if not changes:
        raise ApiError(
            400,
            "nothing_to_update",
            f"Send at least one of {', '.join(_CHANGES)}; a timestamp alone changes nothing.",
            field="text",
        )
    if "timestamp" in body:
        changes["timestamp"] = body["timestamp"]
    return _change(scope, id, "update", request_id, expected_version, changes)


def parse_delete(scope: Scope, id: UUID, request_id: str, expected_version: int | None = None) -> MemoryRequest:
    """The ``delete`` request of a memory."""
    return _change(scope, id, "delete", request_id, expected_version, {})


def parse_delete_all(scope: Scope, present: tuple[str, ...], request_id: str) -> MemoryRequest:
    """The ``delete_all`` request of a scope, and of memories that have the ids named in ``present``."""
    return validated(
        MemoryRequest,
        {
            "request_id": request_id,
            "op": "delete_all",
            "project": scope.project,
            **scope.ids,
            "present": present or None,
        },
    )


def _change(
    scope: Scope, id: UUID, op: str, request_id: str, expected_version: int | None, changes: Mapping[str, Any]
) -> MemoryRequest:
    return validated(
        MemoryRequest,
        {
            "request_id": request_id,
            "op": op,
            "project": scope.project,
            **scope.ids,
            "memory_id": id,
            "expected_version": expected_version,
            **changes,
        },
    )
