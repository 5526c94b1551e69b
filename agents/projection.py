"""The rows and their index, opened for a command: no Kafka, no waiting for what is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agents.stages.embed import EmbedStage
from agents.stages.project import ProjectStage
from infra.onnx import EmbeddingSettings, load_embedder
from infra.postgres import Database, PostgresSettings
from infra.postgres.migrate import check_schema
from infra.weaviate import VectorIndex, WeaviateSettings
from schemas.models import ModelIdentity


@dataclass(frozen=True, slots=True)
class Projection:
    """Both sides and what leads from one to the other. ``index`` names the index, not what serves."""

    database: Database
    index: VectorIndex
    projecting: ProjectStage
    model: ModelIdentity


@asynccontextmanager
async def open_projection(
    postgres: PostgresSettings, weaviate: WeaviateSettings, embedding: EmbeddingSettings
) -> AsyncIterator[Projection]:
    """Raises ``StoreUnavailableError``, or ``MisconfiguredError`` for an older schema or a missing model."""
    await asyncio.to_thread(check_schema, postgres)
    embedder = await asyncio.to_thread(load_embedder, embedding)
    database, index, embed = Database(postgres), VectorIndex(weaviate), EmbedStage(embedder)
    try:
        await index.open()
        yield Projection(database, index, ProjectStage(database, index, embed), embedder.identity)
    finally:
        await index.close()
        database.close()
        embed.close()
