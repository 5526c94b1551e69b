"""The gateway without its stores, and when they come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from gateway.app import FAILED, build_app
from infra.onnx import Embedder
from infra.postgres import Database, PostgresSettings
from infra.weaviate import VectorIndex, WeaviateSettings
from schemas.problems import MisconfiguredError
from streams.settings import KafkaSettings
from streams.topics import ensure_topics
from tests.harness.link import Link
from tests.integration.gateway_world import NO_WEAVIATE, NOWHERE, SETTINGS, Client, eventually, ready, serving


async def test_without_its_components_it_starts_and_says_so(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    database = Database(postgres_settings)
    token = database.create_api_key("ours", "test")
    database.close()
    app = build_app(
        SETTINGS,
        KafkaSettings(bootstrap_servers=NOWHERE),
        postgres_settings,
        NO_WEAVIATE,
        embedder,
    )
    headers = {"Authorization": f"Token {token}"}
    async with serving(app) as client:
        await eventually(partial(_postgres_is_up, client))
        assert not await ready(client)
        calls = {
            "/v3/memories/add/": {"messages": "x", "user_id": "a"},
            "/v3/memories/search/": {"query": "x", "user_id": "a"},
        }
        for path, body in calls.items():
            async with client.post(path, json=body, headers=headers) as response:
                assert response.status == 503
                assert response.headers["Retry-After"] == "3"
                problem = await response.json(content_type=None)
            assert "event_id" not in problem
        async with client.post("/v3/memories/", json={"user_id": "a"}, headers=headers) as response:
            assert response.status == 200
        async with client.get("/v1/events/stream", headers=headers) as response:
            assert response.status == 503


async def _postgres_is_up(client: Client) -> bool:
    async with client.get("/health") as response:
        document = await response.json()
    return bool(document["components"]["postgres"]["status"] == "up")


async def test_a_postgres_that_answers_nothing_does_not_hold_up_its_end(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    dsn = make_url(postgres_settings.dsn.get_secret_value())
    link = Link(f"{dsn.host}:{dsn.port}")
    await link.up()
    behind = SecretStr(dsn.set(port=link.port).render_as_string(hide_password=False))
    settings = postgres_settings.model_copy(update={"dsn": behind})
    app = build_app(SETTINGS, KafkaSettings(bootstrap_servers=NOWHERE), settings, NO_WEAVIATE, embedder)

    async def says_nothing(client: Client) -> bool:
        return not await _postgres_is_up(client)

    try:
        async with asyncio.timeout(60), serving(app) as client:
            await eventually(partial(_postgres_is_up, client))
            link.stalled = True
            await eventually(partial(says_nothing, client))
    finally:
        await link.down()


async def test_it_starts_without_its_stores_and_recovers_by_itself(
    kafka_settings: KafkaSettings,
    postgres_settings: PostgresSettings,
    weaviate_settings: WeaviateSettings,
    embedder: Embedder,
) -> None:
    await ensure_topics(kafka_settings)
    database = Database(postgres_settings)
    headers = {"Authorization": f"Token {database.create_api_key('ours', 'test')}"}
    database.close()
    dsn = urlsplit(postgres_settings.dsn.get_secret_value())
    weaviate = urlsplit(weaviate_settings.url)
    links = {
        "kafka": Link(kafka_settings.bootstrap_servers),
        "postgres": Link(f"{dsn.hostname}:{dsn.port}"),
        "weaviate": Link(weaviate.netloc),
        "grpc": Link(weaviate_settings.grpc),
    }
    for link in links.values():
        await link.up()
        await link.down()
    credentials = dsn.netloc.rpartition("@")[0]
    app = build_app(
        SETTINGS,
        kafka_settings.model_copy(update={"bootstrap_servers": links["kafka"].address}),
        PostgresSettings(
            dsn=SecretStr(dsn._replace(netloc=f"{credentials}@{links['postgres'].address}").geturl())
        ),
        weaviate_settings.model_copy(
            update={"url": f"http://{links['weaviate'].address}", "grpc": links["grpc"].address}
        ),
        embedder,
    )

    async def call(path: str) -> int:
        body = {"query": "x", "user_id": "alice"}
        async with client.post(path, json=body, headers=headers) as response:
            return response.status

    async def unready() -> bool:
        return not await ready(client)

    async with serving(app) as client:
        assert await call("/v3/memories/") == 503
        for name in ("kafka", "weaviate", "grpc", "postgres"):
            assert await unready()
            await links[name].up()
        await eventually(lambda: ready(client))
        for name, path in (("postgres", "/v3/memories/"), ("grpc", "/v3/memories/search/")):
            assert await call(path) == 200
            await links[name].down()
            await eventually(unready)
            assert await call(path) == 503
            await links[name].up()
            await eventually(lambda: ready(client))
            assert await call(path) == 200
    for link in links.values():
        await link.down()


async def test_an_index_made_by_another_model_ends_it(
    kafka_settings: KafkaSettings,
    postgres_settings: PostgresSettings,
    weaviate_settings: WeaviateSettings,
    embedder: Embedder,
) -> None:
    index = VectorIndex(weaviate_settings)
    await index.open()
    await index.ensure(replace(embedder.identity, model="another"))
    await index.close()
    app = build_app(SETTINGS, kafka_settings, postgres_settings, weaviate_settings, embedder)
    async with serving(app) as client, asyncio.timeout(90):
        assert not await ready(client)
        with pytest.raises(MisconfiguredError, match="another"):
            await app[FAILED]
