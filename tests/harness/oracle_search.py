"""The oracle's part about searching: each memory of a sample is found by its vector among all there are.

``VectorIndex.unsearchable`` names the ids that it looks for, and Weaviate compares so few one by one. Here nothing
is filtered, so that the search goes through the graph of the index: a point that no way leads to is missed. The
collection is one system's alone, so no project needs to be left out.

Where hundreds of memories have one vector this cannot be asked: their points are neighbours of one another only,
and Weaviate's graph cuts off others that lie near, fault or none (seen: 65 of 960 beside 700 memories of five
texts; none beside 250).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Final

from weaviate.classes.query import MetadataQuery

from infra.weaviate import Point, WeaviateSettings
from infra.weaviate.collection import MAX_CONNECTIONS
from infra.weaviate.connection import make_client
from infra.weaviate.points import to_floats
from schemas.memories import Memory
from tests.harness.findings import Findings

SAMPLE: Final = 100
_NEAREST: Final = 5
#: A vector's distance from itself is less, for all that float32 makes of it; other texts are further away.
_ITSELF: Final = 1e-5


def crowded(memories: Iterable[Memory]) -> bool:
    """Whether more of them have, or had when they were deleted, one vector than a point has edges."""
    same = Counter(one.embedding_text if one.vector is None else tuple(one.vector) for one in memories)
    return max(same.values(), default=0) > MAX_CONNECTIONS


async def check_searches(
    settings: WeaviateSettings, points: Iterable[Point], seed: int, findings: Findings
) -> None:
    """Who asks for a memory's own vector is told of that memory, or of others only that have the same vector."""
    known = sorted(points, key=lambda point: point.id)
    client = make_client(settings)
    await client.connect()
    try:
        collection = client.collections.use(settings.collection)
        for point in Random(seed).sample(known, min(SAMPLE, len(known))):
            answer = await collection.query.near_vector(
                to_floats(point.vector),
                limit=_NEAREST,
                return_properties=False,
                return_metadata=MetadataQuery(distance=True),
            )
            same = [
                one.uuid.int
                for one in answer.objects
                if one.metadata.distance is not None and one.metadata.distance < _ITSELF
            ]
            if point.id.int not in same and len(same) < _NEAREST:
                findings.stale.append(f"no search among all finds object {point.id}")
    finally:
        await client.close()
