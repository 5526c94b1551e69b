"""Filters as SQL conditions. Every operand is a bound parameter; every condition is true or false, never null."""

from __future__ import annotations

import operator as operators
from collections.abc import Callable
from typing import Any, Final

import orjson
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, array

from schemas.filters import (
    AllOf,
    AnyOf,
    Filter,
    IdCondition,
    MetadataCondition,
    Not,
    Operator,
    Span,
    TextCondition,
    TimeCondition,
)

Condition = ColumnElement[bool]
Value = ColumnElement[Any]

# The order of code points, and their plain lower case, whatever the database's own locale is.
_BY_CODE_POINT: Final = "C"
_UNICODE: Final = "pg_c_utf8"

_ORDER: Final[dict[Operator, Callable[[Any, Any], Condition]]] = {
    Operator.GT: operators.gt,
    Operator.GTE: operators.ge,
    Operator.LT: operators.lt,
    Operator.LTE: operators.le,
}


def condition(filter: Filter, rows: FromClause) -> Condition:
    """The condition on rows that have the columns of ``memories``."""
    match filter:
        case AllOf(parts):
            return and_(true(), *(condition(part, rows) for part in parts))
        case AnyOf(parts):
            return or_(false(), *(condition(part, rows) for part in parts))
        case Not(part):
            return not_(condition(part, rows))
        case IdCondition(ids):
            return rows.c.id.in_(sorted(ids))
        case TextCondition(field, operator, operands):
            return _held(_text(rows.c[field], operator, operands))
        case TimeCondition(field, operator, operands):
            return _held(_time(rows.c[field], operator, operands))
        case MetadataCondition(key, operator, operands):
            return _held(_metadata(cast(rows.c.metadata, JSONB)[key], operator, operands))


def _held(condition: Condition) -> Condition:
    return func.coalesce(condition, false())


def _text(text: Value, operator: Operator, operands: tuple[str, ...]) -> Condition:
    match operator:
        case Operator.PRESENT:
            return text.is_not(None)
        case Operator.IN:
            return text.in_(operands)
        case Operator.CONTAINS:
            return func.strpos(text, operands[0]) > 0
        case Operator.ICONTAINS:
            return func.strpos(_lower(text), _lower(literal(operands[0], Text))) > 0
        case _:
            return _ORDER[operator](text.collate(_BY_CODE_POINT), operands[0])


def _lower(text: Value) -> Value:
    return func.lower(text.collate(_UNICODE))


def _time(time: Value, operator: Operator, operands: tuple[Span, ...]) -> Condition:
    match operator:
        case Operator.PRESENT:
            return time.is_not(None)
        case Operator.IN:
            return or_(false(), *(time.between(span.first, span.last) for span in operands))
        case Operator.GT | Operator.LTE:
            return _ORDER[operator](time, operands[0].last)
        case _:
            return _ORDER[operator](time, operands[0].first)


def _metadata(value: Value, operator: Operator, operands: tuple[Any, ...]) -> Condition:
    kind: Value = func.jsonb_typeof(value)
    match operator:
        case Operator.PRESENT:
            return kind != "null"
        case Operator.IN:
            return value == func.any(cast(array([_json(one) for one in operands], type_=Text), ARRAY(JSONB)))
        case Operator.CONTAINS:
            return or_(
                and_(kind == "array", value.op("@>")(literal([operands[0]], JSONB))),
                _if_text(value, kind, operator, operands[0]),
            )
        case Operator.ICONTAINS:
            return or_(
                and_(kind == "array", _has_element(value, kind, operands[0])),
                _if_text(value, kind, operator, operands[0]),
            )
        case _ if isinstance(operands[0], str):
            return _if_text(value, kind, operator, operands[0])
        case _:
            return and_(kind == "number", _ORDER[operator](value, literal(operands[0], JSONB)))


def _if_text(value: Value, kind: Value, operator: Operator, operand: Any) -> Condition:
    if not isinstance(operand, str):
        return false()
    return and_(kind == "string", _text(_plain(value), operator, (operand,)))


def _has_element(value: Value, kind: Value, text: str) -> Condition:
    # Other values than arrays have no elements; asking them for some is an error even where nobody looks.
    items = func.jsonb_array_elements(case((kind == "array", value), else_=literal([], JSONB))).column_valued()
    same = _lower(_plain(items)) == _lower(literal(text, Text))
    return exists(select(items).where(func.jsonb_typeof(items) == "string", same))


def _plain(value: Value) -> Value:
    """A JSON text without its quotes."""
    return value.op("#>>", return_type=Text())(cast(array([], type_=Text), ARRAY(Text)))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
