"""What may be written, and whether what was read back is what was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
from weaviate.collections.classes.internal import Object

from infra.weaviate.points import Point
from schemas.problems import BatchRejectedError

NAMED_IDS: Final = 10  # how many ids an error names
_VECTOR_TOLERANCE: Final = 1e-5  # vectors travel as 32-bit floats


def check_vectors(points: Sequence[Point], dimension: int | None) -> None:
    """Raise ``BatchRejectedError`` for vectors of another dimension, or that are not finite.

    Weaviate would take the dimension from the first vector that it sees, and let NaN spoil the graph.
    """
    wrong = [
        point
        for point in points
        if len(point.vector) != (dimension or len(point.vector)) or not np.isfinite(point.vector).all()
    ]
    if wrong:
        raise BatchRejectedError(f"{named(wrong)}: the vector must hold {dimension or 'only'} finite numbers.")


def named(points: Sequence[Point]) -> str:
    """The points by id, the first few of many."""
    names = ", ".join(str(point.id) for point in points[:NAMED_IDS])
    more = f" and {len(points) - NAMED_IDS} more" if len(points) > NAMED_IDS else ""
    return f"{len(points)} memories ({names}{more})"


def stands(point: Point, found: Object[Any, Any] | None) -> bool:
    """Whether ``found`` is what is stored once ``point`` was written, by the latest news."""
    if found is None:
        return False
    version = int(found.properties["version"])
    if version != point.version:
        return version > point.version  # a newer one was written by somebody who knows better
    return bool(np.allclose(vector_of(found), point.vector, rtol=0, atol=_VECTOR_TOLERANCE))


def vector_of(item: Object[Any, Any]) -> list[float]:
    """The vector of an object that was read with it."""
    return cast("list[float]", item.vector["default"])
