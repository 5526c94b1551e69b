"""Finding the evidence: through the gateway's search, and by comparing a question with every vector."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import numpy as np

from gateway.search.searcher import Query, Searcher
from gateway.threads import Call
from infra.onnx import Embedder, load_embedder
from infra.postgres import Database
from infra.weaviate import VectorIndex
from schemas.requests import DEFAULT_PROJECT
from schemas.scope import Scope
from tests.bench.place import Place
from tests.bench.recall.dataset import Question

TOP: Final = 10


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[tuple[Embedder, Database, VectorIndex]]:
    """The model and the stores of a place."""
    database = Database(place.settings.postgres)
    index = VectorIndex(place.settings.weaviate)
    await index.open()
    try:
        yield load_embedder(place.settings.embedding), database, index
    finally:
        await index.close()
        database.close()


async def searched(
    embedder: Embedder,
    database: Database,
    index: VectorIndex,
    questions: Sequence[Question],
    advance: Callable[[], None],
) -> list[list[UUID]]:
    """The ids that the gateway's search finds for each question, in its own conversation."""
    with ThreadPoolExecutor(1) as thread:
        call = Call(thread)
        searcher = Searcher(embedder, call, index, database, call)
        found = []
        for question in questions:
            scope = Scope(DEFAULT_PROJECT, user_id=question.conversation)
            hits = await searcher.search(Query(question.text, scope, TOP, threshold=0))
            found.append([hit.memory.id for hit in hits])
            advance()
        return found


async def compared(
    embedder: Embedder, index: VectorIndex, memories: Mapping[str, Sequence[UUID]], questions: Sequence[Question]
) -> list[list[UUID]]:
    """The same by brute force over the stored vectors: the best that any index could do with them."""
    vectors = {
        conversation: {id: point.vector for id, point in (await index.points(ids)).items()}
        for conversation, ids in memories.items()
    }
    found = []
    for question in questions:
        points = vectors[question.conversation]
        scores = np.stack(list(points.values())) @ embedder.embed([question.text]).vectors[0]
        best = np.argsort(-scores)[:TOP]
        ids = list(points)
        found.append([ids[number] for number in best])
    return found


def recall(questions: Sequence[Question], found: Iterable[Sequence[UUID]]) -> float:
    """The share of a question's evidence that was found, mean over the questions."""
    shares = [
        len(question.evidence.intersection(ids)) / len(question.evidence)
        for question, ids in zip(questions, found, strict=True)
    ]
    return float(np.mean(shares))
