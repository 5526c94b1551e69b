"""JSON values in one form, so that what went through a store and what did not are the same bytes."""

from __future__ import annotations

import math
from typing import Any, Final

#: How deep metadata may nest. Above the deepest real document, below what any of our JSON tools can write.
MAX_DEPTH: Final = 100
#: How many values metadata may hold, in all. Each costs time, and in memory many times its bytes.
MAX_PARTS: Final = 20_000
#: What both our JSON writer and a JSON column of Postgres keep exactly.
_WHOLE: Final = range(-(2**63), 2**64)


def canonical_value(value: Any, levels: int = MAX_DEPTH) -> Any:
    """The value with each number in one form: whole ones of 64 bits as integers, all others as doubles.

    JSON knows one kind of number: a store may give 1e3 back as 1000, and 1e22 as an integer of 23 digits.
    Raises ``ValueError`` for what cannot be stored: NaN, infinity, lone surrogates, objects and arrays nested
    deeper than ``levels``.
    """
    if isinstance(value, dict):
        _check_levels(levels)
        return {_text(key): canonical_value(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        _check_levels(levels)
        return [canonical_value(item, levels - 1) for item in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    return _number(value)


def parts_of(value: Any, most: int = MAX_PARTS) -> int:
    """How many values the objects and arrays of a JSON value hold; raises ``ValueError`` if more than ``most``."""
    parts = 0
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict | list):
            # Before they are looked at: what holds too many is refused at the cost of its length.
            parts += len(part)
            if parts > most:
                raise ValueError(f"more than {most} values in objects and arrays")
            pending += part.values() if isinstance(part, dict) else part
    return parts


def _check_levels(levels: int) -> None:
    if levels < 1:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _text(value: str) -> str:
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("text with a lone surrogate")
    return value


def _number(value: int | float) -> int | float:
    if isinstance(value, int):
        if value in _WHOLE:
            return value
        try:
            return float(value)
        except OverflowError as error:
            raise ValueError("a number beyond the range of doubles") from error
    if not math.isfinite(value):
        raise ValueError("NaN and infinity are not JSON numbers")
    return whole if value.is_integer() and (whole := int(value)) in _WHOLE else value
