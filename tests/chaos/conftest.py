"""Systems under fire. Every test here is marked ``chaos`` and is a case of the fault matrix."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from infra.onnx import Embedder, load_embedder
from infra.postgres import Database
from tests.harness.case import Case
from tests.harness.own_stores import OwnStores, own_stores
from tests.harness.system import System
from tests.harness.systems import embedding_settings, new_system


@pytest.fixture(scope="session")
def embedder(model_dir: Path) -> Embedder:
    return load_embedder(embedding_settings(model_dir))


@pytest.fixture
def case(request: pytest.FixtureRequest, embedder: Embedder) -> Case:
    """The case that a test is."""
    made = Case(embedder, full=request.config.getoption("--matrix"))
    request.node.user_properties.append(("counts", made.counts))
    return made


@pytest.fixture
def system(stores: Mapping[str, str], tmp_path: Path) -> Iterator[System]:
    """A system in the stores that all tests share: only its workers may come to harm."""
    with new_system(stores, tmp_path) as made:
        yield made


@pytest.fixture(scope="package")
def breakable() -> Iterator[OwnStores]:
    """Stores that may be stopped and started."""
    with own_stores() as stores:
        yield stores


@pytest.fixture
def breakable_system(breakable: OwnStores, tmp_path: Path) -> Iterator[System]:
    """A system in stores that may come to harm."""
    with new_system(breakable.addresses, tmp_path) as made:
        yield made
        asyncio.run(breakable.start_missing())


@pytest.fixture
def database(system: System) -> Iterator[Database]:
    """The system's database."""
    opened = Database(system.postgres)
    yield opened
    opened.close()
