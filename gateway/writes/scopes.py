"""Whose memories a write is about: plain entity ids, at the top level of a body or inside its filters."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.http.jsonio import check_bounds
from gateway.http.problems import ApiError, invalid
from gateway.search.filters import ALIASES
from gateway.search.operands import ID_MAX
from gateway.writes.bodies import FILTERS_MAX
from schemas.scope import ENTITY_FIELDS, Scope

_WILDCARD: Final = "*"


def parse_scope(project: str, body: Mapping[str, Any]) -> Scope:
    """The scope of what is added; at least one id is required, and none may be ``*``."""
    ids = _named_ids(body)
    if not ids:
        names = ", ".join(ENTITY_FIELDS)
        raise ApiError(400, "entity_required", f"filters: name at least one of {names}.", field="filters")
    for field, value in ids.items():
        if value == _WILDCARD:
            raise ApiError(400, "unsupported_filter", f"{field}: * stands for any id and is none.", field=field)
    return Scope(project, **ids)


def parse_target(project: str, query: Mapping[str, str]) -> tuple[Scope, tuple[str, ...]]:
    """What a delete by scope is about: the scope, and the ids given as ``*``, which may be any.

    ``filters`` may be JSON, or Python's own way to write a dictionary: so mem0's client sends it.
    """
    body: dict[str, Any] = dict(query)
    if "filters" in query:
        body["filters"] = read_filters(query["filters"])
    ids = _named_ids(body)
    if not ids:
        raise ApiError(
            400,
            "entity_required",
            f"Name what to delete by {', '.join(ENTITY_FIELDS)}; all four as * delete everything in the project.",
            field="filters",
        )
    plain = {field: value for field, value in ids.items() if value != _WILDCARD}
    return Scope(project, **plain), tuple(field for field in ENTITY_FIELDS if ids.get(field) == _WILDCARD)


def _named_ids(body: Mapping[str, Any]) -> dict[str, str]:
    ids: dict[str, str] = {}
    for key in (*ENTITY_FIELDS, *ALIASES):
        if (field := ALIASES.get(key, key)) in ENTITY_FIELDS and body.get(key) is not None:
            _take(ids, field, body[key], key)
    if (filters := body.get("filters")) is not None:
        _collect(ids, filters, "filters")
    return ids


def _collect(ids: dict[str, str], node: Any, path: str) -> None:
    if not isinstance(node, Mapping):
        raise invalid(path, "must be an object")
    for key, value in node.items():
        here = f"{path}.{key}"
        field = ALIASES.get(key, key)
        if field in ENTITY_FIELDS:
            _take(ids, field, value, here)
        elif key == "AND":
            for number, part in enumerate(value if isinstance(value, list) else [value]):
                _collect(ids, part, f"{here}.{number}")
        else:
            raise ApiError(
                400, "unsupported_filter", f"{here}: a write takes only {', '.join(ENTITY_FIELDS)}.", field=here
            )


def _take(ids: dict[str, str], field: str, value: Any, path: str) -> None:
    if isinstance(value, Mapping):
        operator = ", ".join(str(key) for key in value) or "{}"
        raise ApiError(
            400, "unsupported_filter", f"{path}: the operator {operator} is not supported in a write.", field=path
        )
    if not isinstance(value, str) or not 1 <= len(value) <= ID_MAX or "\0" in value:
        raise invalid(path, f"must be a text of 1 to {ID_MAX} characters")
    if ids.setdefault(field, value) != value:
        raise invalid(path, f"{field} is named twice with different values, which nothing can match")


def read_filters(text: str) -> Any:
    """The filters in a query: JSON, or Python's own way to write a dictionary."""
    if len(text) > FILTERS_MAX:
        raise invalid("filters", f"must not be longer than {FILTERS_MAX} characters")
    try:
        value = _literal(text)
        check_bounds(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise invalid("filters", "must be a JSON object") from error
    return value


def _literal(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # To JSON and back: Python can write much that JSON cannot.
        return orjson.loads(orjson.dumps(ast.literal_eval(text)))
