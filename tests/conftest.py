"""Fixtures for all tests: real stores, and in each of them a place of the test's own.

``stores`` are started when the first test asks for one of them, and once for all processes of a parallel run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from pydantic import SecretStr

from infra.postgres import Database
from infra.postgres.migrate import upgrade
from infra.postgres.settings import PostgresSettings
from infra.weaviate.settings import WeaviateSettings
from streams.settings import KafkaSettings
from tests import stack
from tests.harness import next_schema
from tests.harness.collections import drop_collections
from tests.harness.databases import administer, dsn_of

# The fault matrix: options, and a table at the end.
pytest_plugins = ("tests.harness.matrix",)

# Property tests have no deadline, neither for an example nor for making it up: it would fail on a busy machine.
settings.register_profile("agentmem", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("agentmem")

_running = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    # A runner in the background may ignore SIGINT, and what tests start would inherit that and see no Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # With xdist the tests run in processes of their own, which share what this one has started before them.
    if config.getoption("numprocesses", None):
        config.stash[_running] = ExitStack()
        config.stash[_running].enter_context(stack.shared_stores())


def pytest_unconfigure(config: pytest.Config) -> None:
    if _running in config.stash:
        config.stash[_running].close()


@pytest.fixture(scope="session")
def stores() -> Iterator[Mapping[str, str]]:
    """The addresses of the stores, as environment variables."""
    with stack.stores() as addresses:
        yield addresses


@pytest.fixture(scope="session")
def kafka_bootstrap(stores: Mapping[str, str]) -> str:
    """A Kafka broker, host:port."""
    return stores["AGENTMEM_KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture
def kafka_settings(kafka_bootstrap: str) -> KafkaSettings:
    """Kafka with a topic prefix and a consumer group that no other test has. The topics are not made yet."""
    own = uuid4().hex[:12]
    return KafkaSettings(bootstrap_servers=kafka_bootstrap, topic_prefix=f"t{own}-", group=f"workers-{own}")


@pytest.fixture(scope="session")
def kafka_home(stores: Mapping[str, str]) -> Path:
    """The directory whose ``bin/`` has Kafka's console tools."""
    if "KAFKA_HOME" not in stores:
        pytest.skip("the stores in use come without Kafka's console tools")
    return Path(stores["KAFKA_HOME"])


@pytest.fixture(scope="session")
def _postgres_template(stores: Mapping[str, str]) -> Iterator[str]:
    """A migrated database to copy: copying takes a fraction of the time that migrating does."""
    name = f"template_{uuid4().hex[:12]}"
    server = stores["AGENTMEM_POSTGRES_DSN"]
    administer(server, f"CREATE DATABASE {name}")
    upgrade(PostgresSettings(dsn=SecretStr(dsn_of(server, name))))
    if next_schema.VARIABLE in os.environ:
        next_schema.expand(dsn_of(server, name))
    yield name
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_dsn(stores: Mapping[str, str], _postgres_template: str) -> Iterator[str]:
    """A database of the test's own, migrated and empty; removed afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    server = stores["AGENTMEM_POSTGRES_DSN"]
    administer(server, f"CREATE DATABASE {name} TEMPLATE {_postgres_template}")
    yield dsn_of(server, name)
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_settings(postgres_dsn: str) -> PostgresSettings:
    """The settings for ``postgres_dsn``."""
    return PostgresSettings(dsn=SecretStr(postgres_dsn))


@pytest.fixture
def database(postgres_settings: PostgresSettings) -> Iterator[Database]:
    """The database of ``postgres_settings``, as a worker has it."""
    with closing(Database(postgres_settings)) as opened:
        yield opened


@pytest.fixture
def weaviate_settings(stores: Mapping[str, str]) -> Iterator[WeaviateSettings]:
    """Weaviate with a collection name of the test's own; the collection is removed afterwards."""
    key = stores.get("AGENTMEM_WEAVIATE_API_KEY")
    settings = WeaviateSettings(
        url=stores["AGENTMEM_WEAVIATE_URL"],
        grpc=stores["AGENTMEM_WEAVIATE_GRPC"],
        api_key=SecretStr(key) if key else None,
        collection=f"Test{uuid4().hex[:12]}",
    )
    yield settings
    drop_collections(settings)


@pytest.fixture(scope="session")
def model_dir(stores: Mapping[str, str]) -> Path:
    """The directory of the all-MiniLM-L6-v2 model."""
    return Path(stores["AGENTMEM_EMBEDDING_MODEL"])


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """The environment without our own variables, for commands that tests start."""
    ours = ("AGENTMEM_", "KAFKA_HOME", "WEAVIATE_HOME")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
