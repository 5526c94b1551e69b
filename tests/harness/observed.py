"""All that a system holds, read past our own code where that is possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine, select
from sqlalchemy.engine import make_url

from infra.postgres.rows import entry_of, memory_of, outcome_of
from infra.postgres.tables import memories, memory_history, requests
from infra.weaviate import Point
from infra.weaviate.connection import make_client
from infra.weaviate.points import to_point
from schemas.history import HistoryEntry, RequestOutcome
from schemas.memories import Memory
from streams.records import Record
from tests.harness.kafka import read_topic
from tests.harness.system import System

_CONNECT = "__connect.errors."


@dataclass(frozen=True)
class DeadLetter:
    """A record of the dead-letter topic, taken apart."""

    source: tuple[int, int]  # partition, offset
    reason: str
    stage: str
    record: Record
    own_headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class Observed:
    """Requests, events and dead letters in log order within each partition; the rows; the index."""

    requests: list[Record]
    events: list[Record]
    dead_letters: list[DeadLetter]
    rows: dict[UUID, Memory]
    history: dict[UUID, list[HistoryEntry]]
    outcomes: dict[tuple[str, str], RequestOutcome]
    points: dict[UUID, Point]


async def observe(system: System) -> Observed:
    """Read it all."""
    topics = system.topics
    engine = create_engine(make_url(system.postgres.dsn.get_secret_value()).set(drivername="postgresql+psycopg2"))
    history: dict[UUID, list[HistoryEntry]] = {}
    try:
        with engine.begin() as connection:
            rows = {row.id: memory_of(row) for row in connection.execute(select(memories))}
            ordered = select(memory_history).order_by(memory_history.c.memory_id, memory_history.c.version)
            for entry in map(entry_of, connection.execute(ordered)):
                history.setdefault(entry.memory.id, []).append(entry)
            outcomes = {outcome.key: outcome for outcome in map(outcome_of, connection.execute(select(requests)))}
    finally:
        engine.dispose()
    return Observed(
        requests=await read_topic(system, topics.requests),
        events=await read_topic(system, topics.events),
        dead_letters=[dead_letter(record) for record in await read_topic(system, topics.dead_letters)],
        rows=rows,
        history=history,
        outcomes=outcomes,
        points=await _points(system),
    )


def dead_letter(record: Record) -> DeadLetter:
    """Tell our headers from the record's own."""
    ours = {name: (value or b"").decode() for name, value in record.headers if name.startswith(_CONNECT)}
    return DeadLetter(
        source=(int(ours[_CONNECT + "partition"]), int(ours[_CONNECT + "offset"])),
        reason=ours[_CONNECT + "exception.class.name"],
        stage=ours[_CONNECT + "stage"],
        record=record,
        own_headers=tuple((name, value) for name, value in record.headers if not name.startswith(_CONNECT)),
    )


async def _points(system: System) -> dict[UUID, Point]:
    client = make_client(system.weaviate)
    await client.connect()
    try:
        collection: Any = client.collections.use(system.weaviate.collection)
        found = {}
        async for item in collection.iterator(include_vector=True):
            found[UUID(int=item.uuid.int)] = to_point(item.uuid, item.properties, item.vector["default"])
        return found
    finally:
        await client.close()
