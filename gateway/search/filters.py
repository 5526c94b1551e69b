"""Filters as mem0's clients write them, in our own terms. What is not understood is a 400 that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from gateway.http.problems import ApiError, invalid
from gateway.search.operands import id_operand, metadata_operand, text_operand, time_operand
from schemas.filters import (
    ORDERINGS,
    AllOf,
    AnyOf,
    Filter,
    IdCondition,
    MetadataCondition,
    Not,
    Operator,
    TextCondition,
    TimeCondition,
)
from schemas.scope import ENTITY_FIELDS

#: JSON values in one filter at most: conditions, their parts and what they compare with.
PARTS_MAX: Final = 2_000
#: JavaScript callers write filters in their own spelling; lists call the run a session.
ALIASES: Final = {
    "userId": "user_id",
    "agentId": "agent_id",
    "appId": "app_id",
    "runId": "run_id",
    "sessionId": "run_id",
    "session_id": "run_id",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "expirationDate": "expiration_date",
    "memoryIds": "memory_ids",
    "memory": "text",
    "keywords": "text",
    "timestamp": "created_at",
}
_NEVER: Final = AnyOf(())


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a field is compared with: makes its conditions, and checks an operand."""

    condition: Callable[[Operator, tuple[Any, ...]], Filter]
    operand: Callable[[Any, str, Operator], Any]
    operators: frozenset[Operator] = frozenset(Operator)


def parse_filter(value: Any, path: str) -> Filter:
    """The filter in a JSON object: its members are ANDed, ``AND``, ``OR`` and ``NOT`` nest."""
    if _parts(value) > PARTS_MAX:
        raise invalid(path, f"has more than {PARTS_MAX} parts")
    return _object(value, path)


def parse_field(name: str, value: Any, path: str) -> Filter:
    """The condition on one field: a value, a list of values, ``*``, or an object of operators."""
    field = ALIASES.get(name, name)
    if field == "memory_ids":
        return _memory_ids(value, path)
    if field == "metadata":
        return _metadata(value, path)
    kind = _KINDS.get(field)
    if kind is None:
        known = "unsupported_filter" if field in ("feedback", "feedback_reason") else "unknown_filter"
        raise ApiError(400, known, f"{path}: there is no such filter.", field=path)
    return _comparison(kind, value, path)


def _object(value: Any, path: str) -> Filter:
    if not isinstance(value, Mapping):
        raise invalid(path, "must be an object")
    parts: list[Filter] = []
    for key, inner in value.items():
        here = f"{path}.{key}"
        match key:
            case "AND":
                parts.append(AllOf(_list(inner, here)))
            case "OR":
                parts.append(AnyOf(_list(inner, here)))
            case "NOT":
                parts.append(Not(AnyOf(_list(inner, here))))
            case _:
                parts.append(parse_field(key, inner, here))
    return AllOf(tuple(parts))


def _list(value: Any, path: str) -> tuple[Filter, ...]:
    if isinstance(value, Mapping):
        return (_object(value, path),)
    if not isinstance(value, list) or not value:
        raise invalid(path, "must be an object or a list of objects, and not empty")
    return tuple(_object(part, f"{path}.{number}") for number, part in enumerate(value))


def _memory_ids(value: Any, path: str) -> Filter:
    if not isinstance(value, list):
        raise invalid(path, "must be a list of memory ids")
    try:
        return IdCondition(frozenset(UUID(id) for id in value))
    except (ValueError, TypeError, AttributeError) as error:
        raise invalid(path, "must be a list of UUIDs") from error


def _metadata(value: Any, path: str) -> Filter:
    if value == "*":
        raise invalid(path, "must name a key: * stands for its value")
    if not isinstance(value, Mapping):
        raise invalid(path, "must be an object of metadata keys and what they are compared with")
    return AllOf(tuple(_metadata_key(key, inner, f"{path}.{key}") for key, inner in value.items()))


def _metadata_key(key: str, value: Any, path: str) -> Filter:
    return _comparison(_Kind(partial(MetadataCondition, key), metadata_operand), value, path)


def _comparison(kind: _Kind, value: Any, path: str) -> Filter:
    if isinstance(value, Mapping):
        if not value:
            raise invalid(path, "must have an operator")
        return AllOf(tuple(_operation(kind, name, operand, f"{path}.{name}") for name, operand in value.items()))
    if value == "*":
        return kind.condition(Operator.PRESENT, ())
    return _one_of(kind, value if isinstance(value, list) else [value], path)


def _operation(kind: _Kind, name: str, operand: Any, path: str) -> Filter:
    match name:
        case "eq":
            return _one_of(kind, [operand], path)
        case "ne":
            return Not(_one_of(kind, [operand], path))
        case "in" | "nin":
            if not isinstance(operand, list):
                raise invalid(path, "must be a list")
            found = _one_of(kind, operand, path)
            return found if name == "in" else Not(found)
    operator = next((one for one in _NAMED if one.value == name), None)
    if operator is None:
        names = ", ".join(["eq", "ne", "in", "nin", *(one.value for one in _NAMED)])
        raise ApiError(
            400, "unknown_operator", f"{path}: there is no such operator; there are {names}.", field=path
        )
    if operator not in kind.operators:
        raise ApiError(400, "unsupported_filter", f"{path}: this field has no such operator.", field=path)
    return kind.condition(operator, (kind.operand(operand, path, operator),))


def _one_of(kind: _Kind, operands: list[Any], path: str) -> Filter:
    values = tuple(kind.operand(one, path, Operator.IN) for one in operands if one is not None)
    found: list[Filter] = [kind.condition(Operator.IN, values)] if values else []
    if len(values) < len(operands):
        found.append(Not(kind.condition(Operator.PRESENT, ())))
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


_NAMED: Final = [one for one in Operator if one not in (Operator.IN, Operator.PRESENT)]
_TIME_OPERATORS: Final = ORDERINGS | {Operator.IN, Operator.PRESENT}
_KINDS: Final = {
    **{field: _Kind(partial(TextCondition, field), id_operand) for field in ENTITY_FIELDS},
    **{field: _Kind(partial(TextCondition, field), text_operand) for field in ("text", "role", "name")},
    "created_at": _Kind(partial(TimeCondition, "created_at"), time_operand, _TIME_OPERATORS),
    "updated_at": _Kind(partial(TimeCondition, "updated_at"), time_operand, _TIME_OPERATORS),
    "expiration_date": _Kind(partial(TimeCondition, "expires_at"), time_operand, _TIME_OPERATORS),
    # No memory has a category, so nothing compares with one.
    "categories": _Kind(lambda _operator, _operands: _NEVER, text_operand),
}


def _parts(value: Any) -> int:
    stack, count = [value], 0
    while stack:
        one = stack.pop()
        count += 1
        if isinstance(one, Mapping):
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)
    return count
