"""Checks of vectors that callers supply."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

from schemas.problems import DeadLetterReason, RecordRejectedError

#: A vector shorter than this has no direction to speak of: its float32 parts may all be zero.
_MIN_LENGTH: Final = 1e-12


def float32(vector: Iterable[float]) -> list[float]:
    """The vector with each number rounded to 32 bits, as the stores keep it."""
    return array("f", vector).tolist()


def unit_vector(vector: Sequence[float]) -> list[float]:
    """The vector scaled to length 1, in 32-bit numbers.

    Raises ``RecordRejectedError`` for one that is not finite or has no direction.
    """
    length = math.hypot(*vector)
    if not math.isfinite(length) or length < _MIN_LENGTH:
        raise RecordRejectedError(
            DeadLetterReason.INVALID_VECTOR, "the vector must be finite and must not be zero"
        )
    return float32(value / length for value in vector)


def check_vector(vector: Sequence[float], dimension: int) -> None:
    """Raise ``RecordRejectedError`` unless the vector can stand for a text in an index of this dimension."""
    if len(vector) != dimension:
        raise RecordRejectedError(
            DeadLetterReason.INVALID_VECTOR, f"the vector has {len(vector)} dimensions, the index {dimension}"
        )
    unit_vector(vector)
