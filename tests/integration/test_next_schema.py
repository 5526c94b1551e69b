"""A worker starts and works on the schema of the version after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from agentmem.exit_codes import ExitCode
from infra.onnx import load_embedder
from tests.harness.kafka import caught_up, publish
from tests.harness.next_schema import expand
from tests.harness.oracle import assert_consistent
from tests.harness.system import System
from tests.harness.systems import embedding_settings, new_system
from tests.harness.workload import Workload, seed


@pytest.fixture
def system(stores: Mapping[str, str], tmp_path: Path) -> Iterator[System]:
    with new_system(stores, tmp_path) as made:
        expand(made.postgres.dsn.get_secret_value())
        yield made


async def test_a_worker_on_the_schema_of_the_next_version(system: System, model_dir: Path) -> None:
    embedder = load_embedder(embedding_settings(model_dir))
    work = Workload(Random(seed()), embedder.identity.dimension, poison=0.02)
    worker = system.start_worker()
    await publish(system, work.messages(300))
    await caught_up(system, 120)
    await assert_consistent(system, embedder)
    assert await worker.stop() == ExitCode.OK
