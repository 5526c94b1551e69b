"""Memories as large as they may be: all of one scope are more than a worker may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.identity import memory_id
from tests.harness.case import Case, stop_cleanly
from tests.harness.kafka import Message, caught_up, publish
from tests.harness.memory import peak_mb
from tests.harness.system import System
from tests.harness.workload import message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

MEMORIES = 150
#: The promise.
WORKER_MB = 512
_TEXT, _METADATA = "likes tea " * 50_000, {"notes": "takes milk " * 40_000}


@pytest.mark.case("large-memories", full=True)
async def test_large_memories_take_no_worker_over_its_memory(system: System, case: Case) -> None:
    """Small requests change and delete them, while the sweep and the verification look at all of them."""
    worker = system.start_worker({"worker.sweep_interval_s": "2", "worker.verify_rows_per_s": "1000"})
    await publish(system, _adds(case))
    await caught_up(system, 300)
    await publish(system, (_change(number, "update", expiration_date="2099-01-01") for number in range(MEMORIES)))
    await publish(system, (_change(number, "delete") for number in range(0, MEMORIES, 3)))
    await caught_up(system, 300)
    await publish(system, [message({"request_id": "all", "op": "delete_all", "user_id": "alice"})])
    await case.judge(system)
    case.counts["worker_peak_mb"] = peak_mb(worker.pid)
    await stop_cleanly(worker)
    assert case.counts["worker_peak_mb"] < WORKER_MB


def _adds(case: Case) -> Iterator[Message]:
    for number in range(MEMORIES):
        vector = [case.random.gauss(0, 1) for _ in range(case.embedder.identity.dimension)]
        content = {"text": f"{number} {_TEXT}", "metadata": _METADATA, "vector": vector}
        yield message({"request_id": f"add-{number}", "op": "add", "user_id": "alice", **content})


def _change(number: int, op: str, **fields: Any) -> Message:
    id = str(memory_id("default", f"add-{number}", 0))
    return message({"request_id": f"{op}-{number}", "op": op, "user_id": "alice", "memory_id": id, **fields})
