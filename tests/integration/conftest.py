"""A gateway on real stores and a real model, with a worker behind it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from gateway.app import build_app
from gateway.settings import GatewaySettings
from infra.onnx import Embedder, EmbeddingSettings, load_embedder
from infra.postgres import Database, PostgresSettings
from infra.postgres.keys import SCOPES
from infra.weaviate import VectorIndex, WeaviateSettings
from streams.settings import KafkaSettings
from streams.topics import ensure_topics
from tests.clients.node import installed_modules
from tests.integration.gateway_world import SETTINGS, Worker, World, eventually, ready, serving


@pytest.fixture(scope="session")
def embedder(model_dir: Path) -> Embedder:
    return load_embedder(EmbeddingSettings(model=str(model_dir)))


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
