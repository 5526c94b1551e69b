"""The oracle of the fault matrix sees each kind of damage."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from random import Random
from uuid import UUID

import psycopg2
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from infra.onnx import Embedder
from infra.weaviate import Point, VectorIndex, WeaviateSettings
from infra.weaviate.collection import _GRAPH, MAX_CONNECTIONS
from schemas.models import ModelIdentity
from schemas.scope import Scope
from schemas.vectors import unit_vector
from streams.producer import Producer, acknowledged
from tests.harness.findings import Findings
from tests.harness.kafka import caught_up, publish
from tests.harness.observed import observe
from tests.harness.oracle import examine
from tests.harness.oracle_search import SAMPLE, check_searches, crowded
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
    changed, forgotten, unindexed, *others = seen.points
    # Of these both stores will say the same: only the requests say otherwise.
    one, other = [id for id in others if seen.rows[id].vector is not None][:2]
    rewritten = next(id for id in others if len(seen.history[id]) > 1)
    event, letter = seen.events[0], seen.dead_letters[0]

    dsn = system.postgres.dsn.get_secret_value()
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE memories SET text = 'not asked for' WHERE id = %s", (str(changed),))
        cursor.execute("DELETE FROM memory_history WHERE memory_id = %s", (str(forgotten),))
        swap = "UPDATE memories SET vector = o.vector FROM memories o WHERE (memories.id, o.id) IN (%s, %s)"
        cursor.execute(swap, ((str(one), str(other)), (str(other), str(one))))
        rewrite = "UPDATE memory_history SET {} = 'rewritten' WHERE memory_id = %s AND version = %s"
        cursor.execute(rewrite.format("text"), (str(rewritten), 1))
        cursor.execute(rewrite.format("previous_text"), (str(rewritten), 2))
    index = VectorIndex(system.weaviate)
    await index.open()
    await index.delete([unindexed])
    swapped = {one: seen.points[other].vector, other: seen.points[one].vector}
    await index.upsert([replace(seen.points[id], vector=vector) for id, vector in swapped.items()])
    await index.close()
    assert not crowded(seen.rows.values())
    assert crowded([seen.rows[one]] * (MAX_CONNECTIONS + 1))
    searched = Findings()
    await check_searches(system.weaviate, list(seen.points.values())[:SAMPLE], 0, searched)
    assert {finding.split()[-1] for finding in searched.stale} == {str(id) for id in (unindexed, one, other)}
    strange = [
        (name, b"0") if name.endswith("errors.offset") else (name, value) for name, value in letter.record.headers
    ]
    strange = [(name, b"99") if name.endswith("errors.partition") else (name, value) for name, value in strange]
    async with Producer(system.kafka) as producer:
        again = producer.send(
            system.topics.events, key=event.key, value=(event.value or b"") + b" ", headers=event.headers
        )
        more = producer.send(system.topics.dead_letters, key=b"k", value=b"v", headers=strange)
        copy = letter.record
        twice = producer.send(system.topics.dead_letters, key=copy.key, value=copy.value, headers=copy.headers)
        await acknowledged([await again, await more, await twice])

    summary, findings = await examine(system, embedder)
    assert summary.requests == 150
    assert summary.repeated_dead_letters == 1
    assert len(findings.duplicated) >= 2
    assert any("event" in finding for finding in findings.duplicated)
    assert any("dead letter" in finding for finding in findings.duplicated)
    assert any(str(forgotten) in finding for finding in findings.lost)
    assert any(str(changed) in finding for finding in findings.stale)
    assert any(str(unindexed) in finding for finding in findings.stale)
    for id in (one, other):
        assert any(f"vector of memory {id}" in finding for finding in findings.stale)
        assert not any(f"object {id}" in finding for finding in findings.stale)
    assert any(f"change of {rewritten}" in finding for finding in findings.wrong)
    with pytest.raises(AssertionError, match="lost"):
        findings.assert_none()

    await _forget_records(system)
    _, findings = await examine(system, embedder)
    assert len([finding for finding in findings.lost if "was acknowledged" in finding]) == 2


async def test_a_memory_that_no_way_leads_to_is_found_by_its_id_alone(
    weaviate_settings: WeaviateSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph with hardly any edges: compared one by one all are found, through the graph many are not."""
    for name in ("ef_construction", "max_connections", "dynamic_ef_min", "dynamic_ef_max"):
        monkeypatch.setitem(_GRAPH, name, 4)
    draw, everyone = Random(seed()), Scope("default", user_id="user")
    points = [
        Point(UUID(int=draw.getrandbits(128)), 1, everyone, unit_vector([draw.gauss(0, 1) for _ in range(64)]))
        for _ in range(1_500)
    ]
    index = VectorIndex(weaviate_settings)
    await index.open()
    try:
        await index.ensure(ModelIdentity("model", "main", "fp32", 64))
        await index.upsert(points)
        assert await index.unsearchable(points) == []
    finally:
        await index.close()
    findings = Findings()
    await check_searches(weaviate_settings, points, 0, findings)
    assert findings.stale


async def _forget_records(system: System) -> None:
    """Kafka loses the first record of two partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=system.kafka.bootstrap_servers)
    await admin.start()
    try:
        topic = system.topics.requests
        await admin.delete_records({TopicPartition(topic, number): RecordsToDelete(1) for number in (0, 3)})
    finally:
        await admin.close()
