"""The command, and a whole system of its own to talk to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from aiohttp.test_utils import unused_port

from infra.postgres import Database, PostgresSettings
from infra.weaviate import WeaviateSettings
from streams.settings import KafkaSettings
from tests.acceptance.command import TIMEOUT_S, Agentmem, Running


@pytest.fixture
def agentmem(tmp_path: Path, clean_environment: dict[str, str]) -> Agentmem:
    """The command in an empty folder, with no setting from outside."""
    return Agentmem(tmp_path, clean_environment)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine on which nothing listens, nor can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def with_kafka(agentmem: Agentmem, kafka_settings: KafkaSettings) -> Agentmem:
    """The command with Kafka, and topics of its own."""
    command = agentmem.with_environment(
        AGENTMEM_KAFKA_BOOTSTRAP_SERVERS=kafka_settings.bootstrap_servers,
        AGENTMEM_KAFKA_TOPIC_PREFIX=kafka_settings.topic_prefix,
        AGENTMEM_KAFKA_GROUP=kafka_settings.group,
    )
    assert command("topics").code == 0
    return command


@pytest.fixture
def configured(
    with_kafka: Agentmem,
    postgres_settings: PostgresSettings,
    weaviate_settings: WeaviateSettings,
    model_dir: Path,
) -> Agentmem:
    """The command with everything that a worker and a gateway need, and an API key; neither runs."""
    database = Database(postgres_settings)
    database.create_project("default")
    token = database.create_api_key("default", "acceptance")
    database.close()
    api_key, port = weaviate_settings.api_key, unused_port()
    return with_kafka.with_environment(
        AGENTMEM_POSTGRES_DSN=postgres_settings.dsn.get_secret_value(),
        AGENTMEM_WEAVIATE_URL=weaviate_settings.url,
        AGENTMEM_WEAVIATE_GRPC=weaviate_settings.grpc,
        AGENTMEM_WEAVIATE_COLLECTION=weaviate_settings.collection,
        AGENTMEM_WEAVIATE_API_KEY=api_key.get_secret_value() if api_key else "",
        AGENTMEM_EMBEDDING_MODEL=str(model_dir),
        AGENTMEM_GATEWAY_PORT=str(port),
        AGENTMEM_URL=f"http://127.0.0.1:{port}",
        AGENTMEM_API_KEY=token,
    )


@pytest.fixture
def system(configured: Agentmem) -> Iterator[Agentmem]:
    """The command beside a worker and a ready gateway of its own."""
    with ExitStack() as stack:
        services = [stack.enter_context(configured.running(name)) for name in ("worker", "gateway")]
        await_ready(configured, *services)
        yield configured
        assert [service.interrupt() for service in services] == [0, 0]


def await_ready(command: Agentmem, *services: Running) -> None:
    """Wait until the gateway of the command's environment can serve everything."""
    url = f"{command.environment['AGENTMEM_URL']}/health/ready"
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        for service in services:
            assert service.process.poll() is None, "".join(service.lines)
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("".join(line for service in services for line in service.lines))
