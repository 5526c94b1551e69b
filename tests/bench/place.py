"""A place of its own in running stores: topics, group, database, collection. Nothing of it stays behind."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient

from agentmem.settings import Settings, load_settings
from infra.postgres.migrate import upgrade
from infra.weaviate import VectorIndex
from streams.topics import Topics, ensure_topics
from tests.harness.databases import administer, dsn_of

# Of a whole stack: no store, and its gateway and worker serve another place.
_CLIENT: Final = ("AGENTMEM_URL", "AGENTMEM_API_KEY", "AGENTMEM_WORKER_PORT")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one measurement happens. ``environment`` is for the commands that take part in it."""

    settings: Settings
    environment: Mapping[str, str]


@asynccontextmanager
async def place(stores: Mapping[str, str], variant: str) -> AsyncIterator[Place]:
    """A place that is migrated, has its topics and is empty; removed at the end."""
    own = uuid4().hex[:12]
    database = f"bench_{own}"
    server = stores["AGENTMEM_POSTGRES_DSN"]
    ours = {
        **{name: value for name, value in stores.items() if name not in _CLIENT},
        "AGENTMEM_KAFKA_TOPIC_PREFIX": f"bench-{own}-",
        "AGENTMEM_KAFKA_GROUP": f"bench-{own}",
        "AGENTMEM_POSTGRES_DSN": dsn_of(server, database),
        "AGENTMEM_WEAVIATE_COLLECTION": f"Bench{own}",
        "AGENTMEM_EMBEDDING_VARIANT": variant,
    }
    settings = settings_of(ours)
    administer(server, f"CREATE DATABASE {database}")
    try:
        upgrade(settings.postgres)
        await ensure_topics(settings.kafka)
        yield Place(settings, {**os.environ, **ours})
    finally:
        await _forget_topics(settings)
        await _forget_collection(settings)
        administer(server, f"DROP DATABASE {database} WITH (FORCE)")


def settings_of(addresses: Mapping[str, str]) -> Settings:
    """The settings of this process, with what these environment variables say put before all else."""
    prefix = "AGENTMEM_"
    return load_settings(
        overrides={
            name.removeprefix(prefix).lower().replace("_", ".", 1): value
            for name, value in addresses.items()
            if name.startswith(prefix) and name not in _CLIENT
        }
    )


async def _forget_topics(settings: Settings) -> None:
    topics = Topics.of(settings.kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topics.requests, topics.events, topics.dead_letters])
    finally:
        await admin.close()


async def _forget_collection(settings: Settings) -> None:
    index = VectorIndex(settings.weaviate)
    await index.open()
    try:
        await index.drop()
    finally:
        await index.close()
