"""What a worker is made of, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agents.collections import ensure_serving
from agents.settings import WorkerSettings
from agents.stages.announce import AnnounceStage
from agents.stages.embed import EmbedStage
from agents.stages.project import ProjectStage
from agents.waiting import Waiting
from infra.onnx import EmbeddingSettings, load_embedder
from infra.postgres import Database, PostgresSettings
from infra.postgres.migrate import check_schema
from infra.telemetry.metrics import tell_what_runs
from infra.weaviate import VectorIndex, WeaviateSettings
from infra.webhooks import WebhookSettings
from schemas.problems import MisconfiguredError
from streams.lag import LagReader
from streams.producer import Producer
from streams.settings import KafkaSettings, WindowSettings
from streams.topics import Topics, missing_topics


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of all that a worker uses."""

    kafka: KafkaSettings
    window: WindowSettings
    postgres: PostgresSettings
    weaviate: WeaviateSettings
    embedding: EmbeddingSettings
    worker: WorkerSettings
    webhooks: WebhookSettings


@dataclass(frozen=True, slots=True)
class Components:
    """The opened stores and stages."""

    database: Database
    index: VectorIndex
    embedding: EmbedStage
    projecting: ProjectStage
    announcing: AnnounceStage
    lag: LagReader
    readable_lag: LagReader
    producer: Producer


@asynccontextmanager
async def open_components(configuration: Configuration, waiting: Waiting) -> AsyncIterator[Components]:
    """Open everything, waiting for stores that are not there yet.

    Raises ``MisconfiguredError`` when the schema, the topics, the model or the index do not fit.
    """
    embedder = await asyncio.to_thread(load_embedder, configuration.embedding)
    made_by = embedder.identity
    tell_what_runs(made_by)
    database = Database(configuration.postgres, retries=True)
    index = VectorIndex(configuration.weaviate)
    producer = Producer(configuration.kafka)
    embedding = EmbedStage(embedder)
    lag = LagReader(configuration.kafka)
    readable_lag = LagReader(configuration.kafka, readable=True)

    async def start(component: str, work: Callable[[], Awaitable[object]]) -> None:
        await waiting.out(f"start of {component}", work, lambda: None)

    try:
        await start("Postgres", lambda: asyncio.to_thread(check_schema, configuration.postgres))
        await start("Weaviate", index.open)
        await start("Weaviate", lambda: ensure_serving(database, index, made_by))
        await start("Kafka", lambda: _check_topics(configuration.kafka))
        await start("Kafka", producer.start)
        topics = Topics.of(configuration.kafka)
        projecting = ProjectStage(database, index, embedding)
        announcing = AnnounceStage(producer, topics)
        yield Components(database, index, embedding, projecting, announcing, lag, readable_lag, producer)
    finally:
        # Together: each may take a while when Kafka does not answer.
        await asyncio.gather(lag.close(), readable_lag.close(), producer.stop())
        await index.close()
        database.close()
        embedding.close()


async def _check_topics(settings: KafkaSettings) -> None:
    if missing := await missing_topics(settings):
        raise MisconfiguredError(f"Kafka has no topic {', '.join(missing)}: run `agentmem topics`.")
