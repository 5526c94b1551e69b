"""Filters evaluated the plain way, straight from their JSON, memory by memory: the oracle of the real ones."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from schemas.memories import Memory

_MISSING: Any = None


def holds(filters: dict[str, Any], memory: Memory) -> bool:
    """Whether a filter holds for a memory."""
    return all(_member(key, value, memory) for key, value in filters.items())


def _member(key: str, value: Any, memory: Memory) -> bool:
    parts = value if isinstance(value, list) else [value]
    if key == "AND":
        return all(holds(part, memory) for part in parts)
    if key == "OR":
        return any(holds(part, memory) for part in parts)
    if key == "NOT":
        return not any(holds(part, memory) for part in parts)
    if key == "memory_ids":
        return str(memory.id) in value
    if key == "metadata":
        return all(_field(memory.metadata.get(name), wanted) for name, wanted in value.items())
    return _field(_value(key, memory), value)


def _value(key: str, memory: Memory) -> Any:
    if key == "categories":
        return _MISSING
    if key in ("user_id", "agent_id", "app_id", "run_id"):
        return getattr(memory.scope, key)
    return getattr(memory, {"keywords": "text", "expiration_date": "expires_at"}.get(key, key))


def _field(has: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(_compares(has, operator, operand) for operator, operand in wanted.items())
    if wanted == "*" and isinstance(wanted, str):
        return has is not None
    return _compares(has, "in", wanted) if isinstance(wanted, list) else _compares(has, "eq", wanted)


def _compares(has: Any, operator: str, operand: Any) -> bool:
    match operator:
        case "eq":
            return _same(has, operand)
        case "ne":
            return not _same(has, operand)
        case "in":
            return any(_same(has, one) for one in operand)
        case "nin":
            return not any(_same(has, one) for one in operand)
        case "contains":
            return _contains(has, operand)
        case "icontains":
            lowered = [one.lower() for one in has if isinstance(one, str)] if isinstance(has, list) else has
            return _contains(lowered.lower() if isinstance(lowered, str) else lowered, operand.lower())
    return _ordered(has, operator, operand)


def _same(has: Any, operand: Any) -> bool:
    if isinstance(has, datetime) and operand is not None:
        first, last = _day(operand)
        return first <= has <= last
    return bool(_typed(has) == _typed(operand))


def _typed(value: Any) -> Any:
    """The value so that true is not 1, but 1 is 1.0."""
    if isinstance(value, list):
        return ["list", *map(_typed, value)]
    if isinstance(value, dict):
        return {key: _typed(inner) for key, inner in value.items()}
    return (isinstance(value, bool), value)


def _contains(has: Any, operand: Any) -> bool:
    if isinstance(has, list):
        return any(_typed(one) == _typed(operand) for one in has)
    return isinstance(has, str) and isinstance(operand, str) and operand in has


def _ordered(has: Any, operator: str, operand: Any) -> bool:
    if isinstance(has, datetime):
        first, last = _day(operand)
        operand = last if operator in ("gt", "lte") else first
    elif _kind(has) is None or _kind(has) != _kind(operand):
        return False
    return bool({"gt": has > operand, "gte": has >= operand, "lt": has < operand, "lte": has <= operand}[operator])


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else None


def _day(operand: str) -> tuple[datetime, datetime]:
    moment = datetime.fromisoformat(operand)
    if len(operand) == len("2024-01-31"):
        return datetime.combine(moment, time.min, UTC), datetime.combine(moment, time.max, UTC)
    return moment, moment
