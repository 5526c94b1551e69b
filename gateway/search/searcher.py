"""Searching: the index ranks, Postgres says what is true and what the filter holds for."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nlargest
from typing import Final
from uuid import UUID

from gateway.search.index import ServingIndex
from gateway.threads import Call
from infra.onnx import Embedder
from infra.postgres import Database
from infra.telemetry.metrics import QUERIES_TRUNCATED, SEARCH_SECONDS, SEARCH_STALE_HITS
from infra.weaviate import Hit, VectorIndex
from infra.weaviate.points import Vector
from schemas.filters import Filter
from schemas.memories import Memory
from schemas.scope import Scope

# Some more than asked for, as a few hits may be gone from Postgres; then wider, up to what the index serves.
_MARGIN: Final = 10
_GROWTH: Final = 4
_DEPTH_MAX: Final = 10_000
#: Memories that are ranked one by one: as many as a filter may leave, and at a time when it leaves more.
_EXACT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Query:
    """What to find: hits that score at least ``threshold``, the best ``top_k`` of them."""

    text: str
    scope: Scope
    top_k: int
    threshold: float
    show_expired: bool = False
    where: Filter | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A live memory and its score, 0 to 1: see :func:`score_of`."""

    memory: Memory
    score: float


def score_of(cosine: float) -> float:
    """The cosine similarity (-1 to 1) as a score from 0 to 1; 0.5 means: nothing to do with each other.

    A general question ("What do you know about me?") has a cosine around zero with most of what is known. As a
    score of its own that would fall below the threshold that clients send by default, and find nothing.
    """
    return min(max((1 + cosine) / 2, 0.0), 1.0)


class Searcher:
    """Ranks in the index, then takes every memory from Postgres: nothing deleted, expired or foreign is served.

    However few memories a filter leaves, there are ``top_k`` hits when that many match: a few are ranked one by
    one; of many, the nearest are looked through, and if that does not fill the answer, all are ranked.
    """

    def __init__(
        self,
        embedder: Embedder,
        embed_call: Call,
        index: ServingIndex | VectorIndex,
        database: Database,
        call: Call,
    ) -> None:
        self._embedder = embedder
        self._embed_call = embed_call
        self._index = index
        self._database = database
        self._call = call

    async def search(self, query: Query) -> list[Found]:
        """The best live hits, best first. Raises ``StoreUnavailableError``."""
        with SEARCH_SECONDS.labels("embed").time():
            embedded = await self._embed_call(self._embedder.embed, [query.text])
        QUERIES_TRUNCATED.inc(embedded.truncated)
        vector = embedded.vectors[0]
        if query.where is not None:
            ids = await self._matching_ids(query, None, _EXACT + 1)
            if len(ids) <= _EXACT:
                return await self._found(query, await self._rank(query, vector, query.top_k, ids))
        found = await self._nearest(query, vector)
        return await self._all(query, vector) if found is None else found

    async def _nearest(self, query: Query, vector: Vector) -> list[Found] | None:
        """Look through the nearest, ever deeper; None when the index serves no more and hits are missing."""
        depth = query.top_k + _MARGIN
        while True:
            hits = await self._rank(query, vector, depth)
            found = await self._found(query, hits)
            if len(found) == query.top_k or len(hits) < depth or not _good(query, hits[-1:]):
                if query.where is None:
                    SEARCH_STALE_HITS.inc(_passed_over(query, hits, found))
                return found
            if depth == _DEPTH_MAX:
                return None
            depth = min(depth * _GROWTH, _DEPTH_MAX)

    async def _all(self, query: Query, vector: Vector) -> list[Found]:
        """Rank every memory that matches, a page at a time."""
        best: list[Hit] = []
        last: UUID | None = None
        while ids := await self._matching_ids(query, last, _EXACT):
            hits = await self._rank(query, vector, query.top_k, ids)
            best = nlargest(query.top_k, [*best, *hits], key=lambda hit: hit.score)
            last = ids[-1]
        return await self._found(query, best)

    async def _found(self, query: Query, hits: list[Hit]) -> list[Found]:
        scores = _good(query, hits)
        return [Found(memory, scores[memory.id]) for memory in await self._hydrate(query, list(scores))]

    async def _rank(self, query: Query, vector: Vector, limit: int, ids: list[UUID] | None = None) -> list[Hit]:
        with SEARCH_SECONDS.labels("rank").time():
            return await self._index.search(query.scope, vector, limit, ids)

    async def _matching_ids(self, query: Query, after: UUID | None, limit: int) -> list[UUID]:
        with SEARCH_SECONDS.labels("filter").time():
            return await self._call(
                self._database.browsing.matching_ids, query.scope, query.where, query.show_expired, limit, after
            )

    async def _hydrate(self, query: Query, ids: list[UUID]) -> list[Memory]:
        """Those that are served, as many as are wanted: what else was looked at is not read."""
        if not ids:
            return []
        first_matching = self._database.browsing.first_matching
        with SEARCH_SECONDS.labels("hydrate").time():
            return await self._call(first_matching, query.scope, query.where, query.show_expired, ids, query.top_k)


def _good(query: Query, hits: list[Hit]) -> dict[UUID, float]:
    return {hit.id: score for hit in hits if (score := score_of(hit.score)) >= query.threshold}


def _passed_over(query: Query, hits: list[Hit], found: list[Found]) -> int:
    """How many hits were looked at in vain."""
    ids = list(_good(query, hits))
    looked_at = ids.index(found[-1].memory.id) + 1 if len(found) == query.top_k else len(ids)
    return looked_at - len(found)
