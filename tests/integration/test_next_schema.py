"""A worker starts and works on the schema of the version after it."""

from __future__ import annotations

from random import Random

from agentmem.exit_codes import ExitCode
from infra.onnx import Embedder
from tests.harness.kafka import caught_up, publish
from tests.harness.next_schema import expand
from tests.harness.oracle import assert_consistent
from tests.harness.system import System
from tests.harness.workload import Workload, seed


async def test_a_worker_on_the_schema_of_the_next_version(system: System, embedder: Embedder) -> None:
    expand(system.postgres.dsn.get_secret_value())
    work = Workload(Random(seed()), embedder.identity.dimension, poison=0.02)
    worker = system.start_worker()
    await publish(system, work.messages(300))
    await caught_up(system, 120)
    await assert_consistent(system, embedder)
    assert await worker.stop() == ExitCode.OK
