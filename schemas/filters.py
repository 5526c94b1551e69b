"""Filters: which memories a list or a search is about.

A filter either holds for a memory or does not; there is no third value. What compares with something that is
not there does not hold, so its negation does. Being null and being absent are one and the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from pydantic import JsonValue

TextField = Literal["user_id", "agent_id", "app_id", "run_id", "text", "role", "name"]
TimeField = Literal["created_at", "updated_at", "expires_at"]


class Operator(StrEnum):
    """How a condition compares. ``eq`` is ``in`` with one operand; ``ne`` and ``nin`` are negations."""

    IN = "in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    CONTAINS = "contains"
    ICONTAINS = "icontains"
    PRESENT = "present"


ORDERINGS: Final = frozenset({Operator.GT, Operator.GTE, Operator.LT, Operator.LTE})


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; of no parts: always."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds; of no parts: never."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


@dataclass(frozen=True, slots=True)
class TextCondition:
    """Compares a text by code points; ``contains`` is a substring, ``icontains`` one whatever the case."""

    field: TextField
    operator: Operator
    operands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """What a time is compared with: from ``first`` to ``last``, both included; an instant is both."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class TimeCondition:
    """Compares a time with spans: ``in`` lies within one, ``gt`` after it, ``gte`` not before it."""

    field: TimeField
    operator: Operator
    operands: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class IdCondition:
    """The memory is one of these."""

    ids: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class MetadataCondition:
    """Compares the value under a key of the metadata, whatever its JSON type.

    ``in`` compares whole values: 1 is 1.0, but not true and not "1". Orderings compare a number with a number
    and a text with a text. ``contains`` finds a substring in a text, and an element in an array; ``icontains``
    does so whatever the case.
    """

    key: str
    operator: Operator
    operands: tuple[JsonValue, ...] = ()


Filter = AllOf | AnyOf | Not | TextCondition | TimeCondition | IdCondition | MetadataCondition
