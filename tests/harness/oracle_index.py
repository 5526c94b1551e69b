"""The oracle's part about Weaviate: it must say what Postgres says, and a search must find all of it."""

from __future__ import annotations

from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from infra.onnx import Embedder
from infra.weaviate import VectorIndex
from schemas.memories import Memory
from tests.harness.findings import Findings
from tests.harness.observed import Observed
from tests.harness.system import System

#: fp32 on one machine; what else is in a micro-batch changes the last digits.
_LEAST_COSINE = 0.999


async def check_index(system: System, seen: Observed, embedder: Embedder, findings: Findings) -> None:
    """Each live memory is there in its version, with its scope and vector; nothing else is."""
    live = {id: row for id, row in seen.rows.items() if row.deleted_at is None}
    stale = findings.stale
    both = findings.same_keys("the object of memory", seen.points, live, missing=stale, extra=stale)
    vectors = _vectors(live, embedder)
    for id in both:
        row, point = live[id], seen.points[id]
        findings.judge(stale, f"object {id}", (point.version, point.scope), (row.version, row.scope))
        cosine = float(np.dot(np.asarray(point.vector), vectors[id]))
        if not cosine > _LEAST_COSINE:
            stale.append(f"object {id} has another vector: cosine {cosine}")
    index = VectorIndex(system.weaviate)
    await index.open()
    try:
        stale += [f"no search finds object {p.id}" for p in await index.unsearchable(list(seen.points.values()))]
    finally:
        await index.close()


def _vectors(live: dict[UUID, Memory], embedder: Embedder) -> dict[UUID, NDArray[np.float32]]:
    texts = list({row.embedding_text for row in live.values() if row.vector is None})
    embedded = dict(zip(texts, embedder.embed(texts).vectors, strict=True)) if texts else {}
    return {
        id: embedded[row.embedding_text] if row.vector is None else np.asarray(row.vector, dtype=np.float32)
        for id, row in live.items()
    }
