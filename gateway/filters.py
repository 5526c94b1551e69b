"""Whose memories a call is about: entity ids at the top level of a body or inside its filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.problems import ApiError, invalid
from schemas.scope import ENTITY_FIELDS, Scope

_ID_MAX: Final = 256
#: JavaScript callers write filters in their own spelling.
_ALIASES: Final = {"userId": "user_id", "agentId": "agent_id", "appId": "app_id", "runId": "run_id"}
#: What mem0's filters know beside plain ids, and this gateway does not take.
_UNSUPPORTED: Final = frozenset(
    {"OR", "NOT", "metadata", "categories", "keywords", "memory_ids", "created_at", "updated_at", "timestamp"}
    | {"feedback", "feedback_reason", "session_id", "text", "role", "name", "expiration_date"}
)


def parse_scope(project: str, body: Mapping[str, Any]) -> Scope:
    """The scope that a body names; at least one id is required.

    Takes plain ids at the top level, in ``filters``, and in lists under ``AND``, nested too. Anything else in
    ``filters`` is a 400 that names it: a filter that is ignored would show too much.
    """
    ids: dict[str, str] = {}
    for key in (*ENTITY_FIELDS, *_ALIASES):
        if body.get(key) is not None:
            _take(ids, _ALIASES.get(key, key), body[key], key)
    if (filters := body.get("filters")) is not None:
        _collect(ids, filters, "filters")
    if not ids:
        raise ApiError(
            400, "entity_required", f"filters: name at least one of {', '.join(ENTITY_FIELDS)}.", field="filters"
        )
    return Scope(project, **ids)


def _collect(ids: dict[str, str], node: Any, path: str) -> None:
    if not isinstance(node, Mapping):
        raise invalid(path, "must be an object")
    for key, value in node.items():
        here = f"{path}.{key}"
        field = _ALIASES.get(key, key)
        if field in ENTITY_FIELDS:
            _take(ids, field, value, here)
        elif key == "AND":
            parts = value if isinstance(value, list) else [value]
            for number, part in enumerate(parts):
                _collect(ids, part, f"{here}.{number}")
        elif key in _UNSUPPORTED:
            raise ApiError(400, "unsupported_filter", f"{here}: this filter is not supported.", field=here)
        else:
            raise ApiError(400, "unknown_filter", f"{here}: there is no such filter.", field=here)


def _take(ids: dict[str, str], field: str, value: Any, path: str) -> None:
    if isinstance(value, Mapping):
        operator = ", ".join(str(key) for key in value) or "{}"
        raise ApiError(
            400, "unsupported_filter", f"{path}: the operator {operator} is not supported on ids.", field=path
        )
    if not isinstance(value, str) or not 1 <= len(value) <= _ID_MAX:
        raise invalid(path, f"must be a text of 1 to {_ID_MAX} characters")
    if value == "*":
        raise ApiError(400, "unsupported_filter", f"{path}: the wildcard * is not supported.", field=path)
    if ids.setdefault(field, value) != value:
        raise invalid(path, f"{field} is named twice with different values, which nothing can match")
