"""What conditions compare with, checked: each takes the value, its path, and the operator that will use it."""

from __future__ import annotations

from typing import Any, Final

from gateway.http.problems import invalid
from schemas.filters import ORDERINGS, Operator, Span
from schemas.jsonvalues import canonical_value
from schemas.times import parse_expiry, parse_instant

ID_MAX: Final = 256


def id_operand(value: Any, path: str, _: Operator) -> str:
    """An entity id."""
    if not isinstance(value, str) or not 1 <= len(value) <= ID_MAX:
        raise invalid(path, f"must be a text of 1 to {ID_MAX} characters")
    return value


def text_operand(value: Any, path: str, _: Operator) -> str:
    """A text."""
    if not isinstance(value, str):
        raise invalid(path, "must be a text")
    return value


def time_operand(value: Any, path: str, _: Operator) -> Span:
    """A time; a bare date is the whole day."""
    try:
        return Span(parse_instant(value), parse_expiry(value))
    except ValueError as error:
        raise invalid(path, str(error)) from error


def metadata_operand(value: Any, path: str, operator: Operator) -> Any:
    """A JSON value that the operator can compare with."""
    orderable = isinstance(value, str | int | float) and not isinstance(value, bool)
    if operator in ORDERINGS and not orderable:
        raise invalid(path, "must be a text or a number")
    if operator is Operator.ICONTAINS and not isinstance(value, str):
        raise invalid(path, "must be a text")
    if operator is Operator.CONTAINS and not isinstance(value, str | int | float | bool):
        raise invalid(path, "must be a text, a number, true or false")
    try:
        return canonical_value(value)
    except ValueError as error:
        raise invalid(path, str(error)) from error
