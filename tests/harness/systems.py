"""Making systems: one line in a fixture for topics, group, database and collection of a test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr

from infra.onnx import EmbeddingSettings
from infra.postgres import PostgresSettings
from infra.postgres.migrate import upgrade
from infra.weaviate import WeaviateSettings
from streams.settings import KafkaSettings
from streams.topics import ensure_topics
from tests.harness.collections import drop_collections
from tests.harness.databases import administer, dsn_of
from tests.harness.system import System


@contextmanager
def new_system(stores: Mapping[str, str], folder: Path, partitions: int = 6) -> Iterator[System]:
    """An empty system in these stores; its workers, database and collection are gone afterwards."""
    own = uuid4().hex[:12]
    key = stores.get("AGENTMEM_WEAVIATE_API_KEY")
    server = stores["AGENTMEM_POSTGRES_DSN"]
    system = System(
        KafkaSettings(
            bootstrap_servers=stores["AGENTMEM_KAFKA_BOOTSTRAP_SERVERS"],
            topic_prefix=f"t{own}-",
            group=f"workers-{own}",
            partitions=partitions,
        ),
        PostgresSettings(dsn=SecretStr(dsn_of(server, f"test_{own}"))),
        WeaviateSettings(
            url=stores["AGENTMEM_WEAVIATE_URL"],
            grpc=stores["AGENTMEM_WEAVIATE_GRPC"],
            api_key=SecretStr(key) if key else None,
            collection=f"Test{own}",
        ),
        Path(stores["AGENTMEM_EMBEDDING_MODEL"]),
        folder,
    )
    administer(server, f"CREATE DATABASE test_{own}")
    try:
        upgrade(system.postgres)
        asyncio.run(ensure_topics(system.kafka))
        with system.closing():
            yield system
        drop_collections(system.weaviate)
    finally:
        administer(server, f"DROP DATABASE test_{own} WITH (FORCE)")


def embedding_settings(model: Path) -> EmbeddingSettings:
    """The model as the workers of a system use it."""
    return EmbeddingSettings(model=str(model), threads=1)
