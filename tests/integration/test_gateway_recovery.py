"""The gateway without its stores, and when they come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import unused_port
from pydantic import SecretStr

from gateway.app import FAILED, build_app
from infra.onnx import Embedder
from infra.postgres import Database, PostgresSettings
from infra.weaviate import VectorIndex, WeaviateSettings
from schemas.problems import MisconfiguredError
from streams.settings import KafkaSettings
from streams.topics import ensure_topics
from tests.integration.gateway_world import SETTINGS, Proxy, eventually, ready, serving


async def test_without_its_components_it_starts_and_says_so(
    postgres_settings: PostgresSettings, embedder: Embedder
) -> None:
    nowhere, elsewhere = (f"127.0.0.1:{unused_port()}" for _ in range(2))
    database = Database(postgres_settings)
    token = database.create_api_key("ours", "test")
    database.close()
    app = build_app(
        SETTINGS,
        KafkaSettings(bootstrap_servers=nowhere),
        postgres_settings,
        WeaviateSettings(url=f"http://{nowhere}", grpc=elsewhere),
        embedder,
    )
    headers = {"Authorization": f"Token {token}"}
    async with serving(app) as client:

        async def postgres_is_up() -> bool:
            async with client.get("/health") as response:
                document = await response.json()
            return bool(document["components"]["postgres"]["status"] == "up")

        await eventually(postgres_is_up)
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
    proxies = {
        "kafka": Proxy(kafka_settings.bootstrap_servers),
        "postgres": Proxy(f"{dsn.hostname}:{dsn.port}"),
        "weaviate": Proxy(weaviate.netloc),
        "grpc": Proxy(weaviate_settings.grpc),
    }
    credentials = dsn.netloc.rpartition("@")[0]
    app = build_app(
        SETTINGS,
        kafka_settings.model_copy(update={"bootstrap_servers": proxies["kafka"].address}),
        PostgresSettings(
            dsn=SecretStr(dsn._replace(netloc=f"{credentials}@{proxies['postgres'].address}").geturl())
        ),
        weaviate_settings.model_copy(
            update={"url": f"http://{proxies['weaviate'].address}", "grpc": proxies["grpc"].address}
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
            await proxies[name].open()
        await eventually(lambda: ready(client))
        for name, path in (("postgres", "/v3/memories/"), ("grpc", "/v3/memories/search/")):
            assert await call(path) == 200
            await proxies[name].close()
            await eventually(unready)
            assert await call(path) == 503
            await proxies[name].open()
            await eventually(lambda: ready(client))
            assert await call(path) == 200
    for proxy in proxies.values():
        await proxy.close()


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
    async with serving(app) as client, asyncio.timeout(20):
        assert not await ready(client)
        with pytest.raises(MisconfiguredError, match="another"):
            await app[FAILED]
