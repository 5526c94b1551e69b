"""Searching: the index ranks, Postgres says what is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from gateway.metrics import QUERIES_TRUNCATED, SEARCH_SECONDS, SEARCH_STALE_HITS
from gateway.threads import Call
from infra.onnx import Embedder
from infra.postgres import Database
from infra.weaviate import VectorIndex
from schemas.memories import Memory
from schemas.scope import Scope

# Some more than asked for, as a few hits may be gone from Postgres; then wider, up to what the index serves.
_MARGIN: Final = 10
_GROWTH: Final = 4
_DEPTH_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Query:
    """What to find: hits that score at least ``threshold``, the best ``top_k`` of them."""

    text: str
    scope: Scope
    top_k: int
    threshold: float
    show_expired: bool = False


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
    """Ranks in the index, then takes every memory from Postgres: nothing deleted, expired or foreign is served."""

    def __init__(
        self, embedder: Embedder, embed_call: Call, index: VectorIndex, database: Database, call: Call
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
        live: dict[UUID, Memory] = {}
        looked_up: set[UUID] = set()
        depth = query.top_k + _MARGIN
        while True:
            with SEARCH_SECONDS.labels("rank").time():
                hits = await self._index.search(query.scope, vector, depth)
            exhausted = len(hits) < depth or depth >= _DEPTH_MAX
            scores = {hit.id: score for hit in hits if (score := score_of(hit.score)) >= query.threshold}
            new = [id for id in scores if id not in looked_up]
            with SEARCH_SECONDS.labels("hydrate").time():
                live |= await self._hydrate(query, new)
            looked_up.update(new)
            found = [Found(live[id], score) for id, score in scores.items() if id in live]
            if len(found) >= query.top_k or exhausted or len(scores) < len(hits):
                SEARCH_STALE_HITS.inc(len(looked_up) - len(live))
                return found[: query.top_k]
            depth = min(depth * _GROWTH, _DEPTH_MAX)

    async def _hydrate(self, query: Query, ids: list[UUID]) -> dict[UUID, Memory]:
        if not ids:
            return {}
        rows = await self._call(self._database.memories, query.scope.project, ids, query.show_expired)
        return {id: memory for id, memory in rows.items() if query.scope.covers(memory.scope)}
