"""Searching with filters finds all that match, up to top_k, by whichever way it ranks them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings

from gateway.search import searcher as search
from gateway.search.filters import parse_filter
from gateway.search.searcher import Found, Query, Searcher
from gateway.threads import Call
from infra.onnx import Embedder
from infra.postgres import Database, PostgresSettings
from infra.weaviate import Point, VectorIndex, WeaviateSettings
from schemas.memories import Memory
from schemas.scope import Scope
from tests.brute_filters import holds
from tests.contract.test_filters import filters, stored

_MEMORIES = 40


@dataclass
class Searched:
    project: str
    memories: dict[UUID, Memory]
    runner: asyncio.Runner
    searcher: Searcher

    def search(self, filters: dict[str, Any], top_k: int, threshold: float = 0) -> list[Found]:
        query = Query("tea", Scope(self.project), top_k, threshold, where=parse_filter(filters, "filters"))
        return self.runner.run(self.searcher.search(query))


@pytest.fixture
def searched(
    postgres_settings: PostgresSettings, weaviate_settings: WeaviateSettings, embedder: Embedder
) -> Iterator[Searched]:
    database, index = Database(postgres_settings), VectorIndex(weaviate_settings)
    adds = [
        {
            "user_id": ["alice", "alice-2", "bob alice"][n % 3],
            "messages": [{"content": f"{n} cups of {'tea' if n % 2 else 'coffee'}"}],
            "metadata": {"k": [n, str(n), n % 2 == 0, None][n % 4], "a.b": "aAbB"[n % 4]},
            "timestamp": 1_706_572_800 + 3_600 * n,
            **({"run_id": "a_b"} if n % 5 == 0 else {}),
        }
        for n in range(_MEMORIES)
    ]
    project, memories = stored(database, adds)

    async def fill() -> None:
        await index.open()
        await index.ensure(embedder.identity)
        vectors = embedder.embed([memory.text for memory in memories.values()]).vectors
        points = zip(memories.values(), vectors, strict=True)
        await index.upsert([Point(memory.id, 1, memory.scope, vector) for memory, vector in points])

    with asyncio.Runner() as runner, ThreadPoolExecutor() as threads:
        runner.run(fill())
        call = Call(threads)
        yield Searched(project, memories, runner, Searcher(embedder, call, index, database, call))
        runner.run(index.close())
    database.close()


@pytest.mark.parametrize(("exact", "depth"), [(1000, 10_000), (1, 10_000), (1, 12)])
def test_top_k_hits_whenever_that_many_match(
    searched: Searched, monkeypatch: pytest.MonkeyPatch, exact: int, depth: int
) -> None:
    # Few memories take every way through the search when its bounds are small.
    monkeypatch.setattr(search, "_EXACT", exact)
    monkeypatch.setattr(search, "_DEPTH_MAX", depth)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(filters)
    def check(wanted: dict[str, Any]) -> None:
        expected = {id for id, memory in searched.memories.items() if holds(wanted, memory)}
        every = searched.search(wanted, _MEMORIES)
        assert {found.memory.id for found in every} == expected
        scores = [found.score for found in every]
        assert scores == sorted(scores, reverse=True)
        few = searched.search(wanted, 2)
        assert [found.score for found in few] == pytest.approx(scores[:2], abs=1e-5)
        if scores:
            good = searched.search(wanted, _MEMORIES, threshold=scores[len(scores) // 2])
            assert len(good) == sum(score >= scores[len(scores) // 2] for score in scores)

    check()
