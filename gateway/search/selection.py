"""Which memories a list or a search is about: the scope that can be looked up, and the filter that remains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.http.problems import ApiError
from gateway.search.filters import ALIASES, parse_field, parse_filter
from schemas.filters import AllOf, AnyOf, Filter, Not, Operator, TextCondition
from schemas.scope import ENTITY_FIELDS, Scope

_TOP_LEVEL: Final = (
    *ENTITY_FIELDS,
    *(alias for alias, field in ALIASES.items() if field in ENTITY_FIELDS),
    "metadata",
    "categories",
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Memories of a scope for which ``where`` holds; None holds for all."""

    scope: Scope
    where: Filter | None = None


def parse_selection(project: str, body: Mapping[str, Any]) -> Selection:
    """What a body selects; it must name an entity id, at its top level or in its filters."""
    parts = [parse_field(key, body[key], key) for key in _TOP_LEVEL if body.get(key) not in (None, [], {})]
    if body.get("start_date") is not None:
        parts.append(parse_field("created_at", {"gte": body["start_date"]}, "start_date"))
    if body.get("end_date") is not None:
        parts.append(parse_field("created_at", {"lte": body["end_date"]}, "end_date"))
    if body.get("filters") is not None:
        parts.append(parse_filter(body["filters"], "filters"))
    if not any(map(_names_entity, parts)):
        raise ApiError(
            400, "entity_required", f"filters: name at least one of {', '.join(ENTITY_FIELDS)}.", field="filters"
        )
    ids: dict[str, str] = {}
    rest = []
    for part in _conjuncts(AllOf(tuple(parts))):
        match part:
            # Two different values of one id match nothing: the second one remains in the filter.
            case TextCondition(field, Operator.IN, (value,)) if (
                field in ENTITY_FIELDS and ids.setdefault(field, value) == value
            ):
                pass
            case _:
                rest.append(part)
    return Selection(Scope(project, **ids), AllOf(tuple(rest)) if rest else None)


def _names_entity(filter: Filter) -> bool:
    match filter:
        case AllOf(parts) | AnyOf(parts):
            return any(map(_names_entity, parts))
        case Not(part):
            return _names_entity(part)
        case TextCondition(field):
            return field in ENTITY_FIELDS
        case _:
            return False


def _conjuncts(filter: Filter) -> Iterator[Filter]:
    if isinstance(filter, AllOf):
        for part in filter.parts:
            yield from _conjuncts(part)
    else:
        yield filter
