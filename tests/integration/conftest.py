"""What many of these tests stand on: a gateway with a worker behind it, feeds, a whole system, both stores."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from agents.collections import ensure_serving
from agents.projection import Projection, open_projection
from gateway.app import build_app
from gateway.settings import GatewaySettings
from infra.onnx import Embedder, load_embedder
from infra.postgres import Database, PostgresSettings
from infra.postgres.keys import SCOPES
from infra.weaviate import VectorIndex, WeaviateSettings
from streams.settings import KafkaSettings
from streams.topics import ensure_topics
from tests.clients.node import installed_modules
from tests.harness.system import System
from tests.harness.systems import embedding_settings, new_system
from tests.integration.feeds_world import FeedsWorld, feeds_world
from tests.integration.gateway_world import SETTINGS, Worker, World, eventually, ready, serving


@pytest.fixture(scope="session")
def embedder(model_dir: Path) -> Embedder:
    """As the workers of a ``system`` have it."""
    return load_embedder(embedding_settings(model_dir))


@pytest.fixture
def partitions() -> int:
    """Of the topics of ``system``; a module may have fewer."""
    return 6


@pytest.fixture
def system(stores: Mapping[str, str], tmp_path: Path, partitions: int) -> Iterator[System]:
    """A system without a worker: what is published before the first one starts is its first batch."""
    with new_system(stores, tmp_path, partitions) as made:
        yield made


@pytest.fixture
async def both(
    postgres_settings: PostgresSettings, weaviate_settings: WeaviateSettings, model_dir: Path
) -> AsyncIterator[Projection]:
    """Postgres and Weaviate, with a collection that serves."""
    async with open_projection(postgres_settings, weaviate_settings, embedding_settings(model_dir)) as projection:
        await ensure_serving(projection.database, projection.index, projection.model)
        yield projection


@pytest.fixture
async def feeds(
    kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, embedder: Embedder
) -> AsyncIterator[FeedsWorld]:
    """Two gateways and their event streams."""
    async with feeds_world(kafka_settings, postgres_settings, embedder) as world:
        yield world


@pytest.fixture
def gateway_settings() -> GatewaySettings:
    """The settings of the gateway in ``world``; a module may have its own."""
    return SETTINGS


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Where Node finds mem0's client."""
    if shutil.which("node") is None:
        pytest.skip("there is no Node")
    return installed_modules()


@pytest.fixture
async def world(
    gateway_settings: GatewaySettings,
    kafka_settings: KafkaSettings,
    postgres_settings: PostgresSettings,
    weaviate_settings: WeaviateSettings,
    embedder: Embedder,
) -> AsyncIterator[World]:
    await ensure_topics(kafka_settings)
    async with AsyncExitStack() as stack:
        database = Database(postgres_settings)
        stack.callback(database.close)
        index = VectorIndex(weaviate_settings)
        stack.push_async_callback(index.close)
        await index.open()
        await index.ensure(embedder.identity)
        worker = Worker(kafka_settings, database, index, embedder)
        stack.push_async_callback(_end, asyncio.create_task(worker.run()))
        app = build_app(gateway_settings, kafka_settings, postgres_settings, weaviate_settings, embedder)
        client = await stack.enter_async_context(serving(app))
        await eventually(lambda: ready(client))
        ours, theirs = (database.create_api_key(project, "test", SCOPES) for project in ("ours", "theirs"))
        yield World(client, worker, ours, theirs)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
