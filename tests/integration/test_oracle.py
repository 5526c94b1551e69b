"""The oracle of the fault matrix sees each kind of damage."""

from __future__ import annotations

from contextlib import closing
from random import Random

import psycopg2
import pytest

from infra.onnx import Embedder
from infra.weaviate import VectorIndex
from streams.producer import Producer, acknowledged
from tests.harness.kafka import caught_up, publish
from tests.harness.observed import observe
from tests.harness.oracle import examine
from tests.harness.system import System
from tests.harness.workload import Workload, seed


async def test_each_damage_is_counted(system: System, embedder: Embedder) -> None:
    work = Workload(Random(seed()), embedder.identity.dimension, poison=0.05, purges=0)
    await publish(system, work.messages(150))
    worker = system.start_worker()
    await caught_up(system, 180)
    assert await worker.stop() == 0
    _, findings = await examine(system, embedder)
    findings.assert_none()
    seen = await observe(system)
    changed, forgotten, unindexed = list(seen.points)[:3]
    event, letter = seen.events[0], seen.dead_letters[0]

    dsn = system.postgres.dsn.get_secret_value()
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE memories SET text = 'not asked for' WHERE id = %s", (str(changed),))
        cursor.execute("DELETE FROM memory_history WHERE memory_id = %s", (str(forgotten),))
    index = VectorIndex(system.weaviate)
    await index.open()
    await index.delete([unindexed])
    await index.close()
    strange = [
        (name, b"0") if name.endswith("errors.offset") else (name, value) for name, value in letter.record.headers
    ]
    strange = [(name, b"99") if name.endswith("errors.partition") else (name, value) for name, value in strange]
    async with Producer(system.kafka) as producer:
        again = producer.send(
            system.topics.events, key=event.key, value=(event.value or b"") + b" ", headers=event.headers
        )
        more = producer.send(system.topics.dead_letters, key=b"k", value=b"v", headers=strange)
        await acknowledged([await again, await more])

    summary, findings = await examine(system, embedder)
    assert summary.requests == 150
    assert len(findings.duplicated) >= 2
    assert any("event" in one for one in findings.duplicated)
    assert any("dead letter" in one for one in findings.duplicated)
    assert any(str(forgotten) in one for one in findings.lost)
    assert any(str(changed) in one for one in findings.stale)
    assert any(str(unindexed) in one for one in findings.stale)
    with pytest.raises(AssertionError, match="lost"):
        findings.assert_none()
