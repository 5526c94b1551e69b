"""project: Weaviate follows Postgres. What it is given is read from the rows, never from a request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from agents import failpoints
from agents.stages.embed import EmbedStage, Vectors
from infra.postgres import Database
from infra.weaviate import Point, VectorIndex
from schemas.memories import Memory

STAGE: Final = "project"


class ProjectStage:
    """Brings the index up to date with rows of Postgres."""

    def __init__(self, database: Database, index: VectorIndex, embedding: EmbedStage) -> None:
        self._database = database
        self._index = index
        self._embedding = embedding

    async def project(self, ids: Iterable[UUID], vectors: Vectors, *, verify: bool = False) -> None:
        """Upsert or delete these memories in the index, as their rows stand.

        ``vectors`` are those just embedded; what is not among them is embedded here. ``verify`` asks for the
        result to be read back: a worker that died may have left objects without their vectors. Afterwards
        the rows' versions are read once more: a worker that was paused in the middle (and whose partitions
        went to another) sees that the rows moved on, and mends what it overwrote.
        """
        pending: Sequence[UUID] = sorted(set(ids))
        while pending:
            rows = await asyncio.to_thread(self._database.current, pending)
            live = [row for row in rows.values() if row.deleted_at is None]
            gone = [id for id in pending if id not in rows or rows[id].deleted_at is not None]
            failpoints.passing("before-upsert")
            if live:
                await self._index.upsert(await self._points(live, vectors), verify=verify)
            if gone:
                await self._index.delete(gone, verify=verify)
            now = await asyncio.to_thread(self._database.versions, pending)
            pending = [id for id in pending if id in rows and now.get(id) != rows[id].version]

    async def _points(self, rows: Sequence[Memory], vectors: Vectors) -> list[Point]:
        missing = [row.embedding_text for row in rows if row.vector is None and row.embedding_text not in vectors]
        vectors = vectors | await self._embedding.embed_texts(missing) if missing else vectors
        return [
            Point(
                row.id, row.version, row.scope, vectors[row.embedding_text] if row.vector is None else row.vector
            )
            for row in rows
        ]
