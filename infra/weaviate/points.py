"""Points and hits, and how a point is stored as a Weaviate object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter
from weaviate.collections.classes.filters import FilterReturn

from schemas.scope import ENTITY_FIELDS, Scope

Vector = Sequence[float] | NDArray[np.float32]
Properties = Mapping[str, Any]

#: The properties that a search filters by.
SCOPE_FIELDS: Final = ("project", *ENTITY_FIELDS)


@dataclass(frozen=True, slots=True)
class Point:
    """What the index holds of one memory: ``vector`` is the unit vector of its text at ``version``."""

    id: UUID
    version: int
    scope: Scope
    vector: Vector


@dataclass(frozen=True, slots=True)
class Hit:
    """A memory that a search found; ``score`` is the cosine similarity, 1 for the same direction."""

    id: UUID
    score: float


def exact(value: str) -> str:
    """An id as it is stored and matched.

    Percent-encoded, because Weaviate trims white space from what it indexes: " alice" must not be "alice".
    """
    return quote(value, safe="")


def to_object(point: Point) -> DataObject[Properties, None]:
    """The Weaviate object of a point."""
    properties: dict[str, Any] = {"project": exact(point.scope.project), "version": point.version}
    properties |= {field: exact(value) for field, value in point.scope.ids.items()}
    return DataObject(properties=properties, uuid=point.id, vector=to_floats(point.vector))


def to_floats(vector: Vector) -> list[float]:
    """A vector as the client takes it."""
    floats: list[float] = np.asarray(vector, dtype=np.float32).tolist()
    return floats


def to_point(uuid: UUID, properties: Properties, vector: Sequence[float]) -> Point:
    """The point that a Weaviate object holds."""
    ids = {field: unquote(value) for field in SCOPE_FIELDS if (value := properties.get(field)) is not None}
    return Point(
        UUID(int=uuid.int), int(properties["version"]), Scope(**ids), np.asarray(vector, dtype=np.float32)
    )


def scope_filter(scope: Scope) -> FilterReturn:
    """Matches what ``scope`` covers: its project, and every id that it names."""
    wanted = {"project": scope.project, **scope.ids}
    return Filter.all_of([Filter.by_property(field).equal(exact(value)) for field, value in wanted.items()])


def id_filter(ids: Sequence[UUID]) -> FilterReturn:
    """Matches the objects with these ids."""
    return Filter.by_id().contains_any(ids)


def points_filter(points: Sequence[Point]) -> FilterReturn:
    """Matches the objects with the ids of ``points``, each in its own scope only."""
    by_scope: dict[Scope, list[UUID]] = {}
    for point in points:
        by_scope.setdefault(point.scope, []).append(point.id)
    return Filter.any_of([scope_filter(scope) & id_filter(ids) for scope, ids in by_scope.items()])
