"""project: Weaviate follows Postgres. What it is given is read from the rows, never from a request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from agents import failpoints
from agents.stages.embed import EmbedStage, Vectors
from infra.postgres import Database
from infra.postgres.collections import SearchCollection, serving, written_to
from infra.weaviate import Point, VectorIndex
from schemas.memories import Memory

STAGE: Final = "project"


class ProjectStage:
    """Brings the index up to date with rows of Postgres.

    ``index`` is open, and names the index. Which collections are written to is read together with the rows: while
    one is built that shall take the place of another, these are both (see ``agents.maintenance.rebuild``).
    """

    def __init__(self, database: Database, index: VectorIndex, embedding: EmbedStage) -> None:
        self._database = database
        self._index = index
        self._embedding = embedding
        self._model = str(embedding.model)
        self._opened: dict[str, VectorIndex] = {}

    async def project(
        self, ids: Iterable[UUID], vectors: Vectors, *, verify: bool = False, only: VectorIndex | None = None
    ) -> None:
        """Upsert or delete these memories in the index, as their rows stand.

        ``vectors`` are those just embedded; what is not among them is embedded here. ``verify`` asks for the
        result to be read back: a worker that died may have left objects without their vectors. ``only`` names one
        collection that is written, whatever is recorded. Afterwards
        the rows' versions are read once more: a worker that was paused in the middle (and whose partitions
        went to another) sees that the rows moved on, and mends what it overwrote.
        """
        pending: Sequence[UUID] = sorted(set(ids))
        while pending:
            rows, known = await asyncio.to_thread(self._database.to_project, pending, self.base)
            # As far as the rows came, which are in the order of their ids; with none, there are none of the rest.
            last = max(rows, default=pending[-1])
            part = [id for id in pending if id <= last]
            live = [row for row in rows.values() if row.deleted_at is None]
            gone = [id for id in part if id not in rows or rows[id].deleted_at is not None]
            points = await self._points(live, vectors) if live else []
            failpoints.passing("before-upsert")
            for collection in [only] if only else self._written(known):
                if points:
                    await collection.upsert(points, verify=verify)
                    failpoints.passing("after-upsert")
                if gone:
                    await collection.delete(gone, verify=verify)
            now = await asyncio.to_thread(self._database.versions, part)
            moved = [id for id in part if id in rows and now.get(id) != rows[id].version]
            pending = [*moved, *pending[len(part) :]]

    @property
    def base(self) -> str:
        """The index, by the name in the settings."""
        return self._index.collection

    @property
    def dimension(self) -> int:
        """How long a vector is."""
        return self._embedding.dimension

    async def serving(self) -> VectorIndex:
        """The collection that serves now; raises ``MisconfiguredError`` when there is none for this model."""
        known = await asyncio.to_thread(self._database.collections.of, self.base)
        return self._at(serving(known, self.base, self._model))

    def _written(self, known: Sequence[SearchCollection]) -> list[VectorIndex]:
        names = written_to(known, self.base, self._model)
        self._opened = {name: index for name, index in self._opened.items() if name in names}
        return [self._at(name) for name in names]

    def _at(self, name: str) -> VectorIndex:
        if name not in self._opened:
            self._opened[name] = self._index.at(name, self._embedding.dimension)
        return self._opened[name]

    async def _points(self, rows: Sequence[Memory], vectors: Vectors) -> list[Point]:
        missing = [row.embedding_text for row in rows if row.vector is None and row.embedding_text not in vectors]
        vectors = vectors | await self._embedding.embed_texts(missing) if missing else vectors
        return [
            Point(
                row.id, row.version, row.scope, vectors[row.embedding_text] if row.vector is None else row.vector
            )
            for row in rows
        ]
