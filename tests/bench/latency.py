"""How long it takes from a request that is published to its event, at a rate that the pipeline can take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer

from schemas.requests import MemoryRequest
from streams.producer import Producer, acknowledged
from streams.security import client_options
from streams.topics import Topics
from tests.bench.draining import Report
from tests.bench.pacing import paced
from tests.bench.percentiles import percentiles
from tests.bench.place import Place, place
from tests.bench.requests import request_of
from tests.bench.turns import turns
from tests.bench.worker import worker

_WARM_UP_S: Final = 3.0
_LAST_WITHIN_S: Final = 30.0


def messages(rate: float, seconds: float) -> int:
    """How many requests :func:`latency` publishes, warm-up included."""
    return int(rate * (_WARM_UP_S + seconds))


async def latency(
    stores: Mapping[str, str], variant: str, rate: float, seconds: float, seed: int, report: Report
) -> dict[str, Any]:
    """The latencies at ``rate`` requests/s, measured for so many seconds by one process and one clock."""
    requests = [request_of(*numbered) for numbered in enumerate(islice(turns(seed), messages(rate, seconds)))]
    async with place(stores, variant) as here, worker(here) as running:
        await running.process.starting
        async with _events(here) as consumer, asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(_read(consumer, len(requests), report))
            due = await _publish(here, requests, rate)
            async with asyncio.timeout(_LAST_WITHIN_S):
                seen = await reading
    taken = [seen[request_id] - due[request_id] for request_id in list(due)[int(rate * _WARM_UP_S) :]]
    return {"latency_ms": percentiles(taken), "latency_rate_per_s": round(rate, 1)}


def _events(here: Place) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        Topics.of(here.settings.kafka).events, **client_options(here.settings.kafka), auto_offset_reset="earliest"
    )


async def _publish(here: Place, requests: Sequence[MemoryRequest], rate: float) -> dict[str, float]:
    """Publish them; when each was due, by request id."""
    topic = Topics.of(here.settings.kafka).requests
    records = [(request.scope.key.encode(), request.to_json()) for request in requests]
    due: dict[str, float] = {}
    async with Producer(here.settings.kafka) as producer:
        sent = []
        async for number, at in paced(rate, len(requests)):
            due[requests[number].request_id] = at
            key, value = records[number]
            sent.append(await producer.send(topic, key=key, value=value))
        await acknowledged(sent)
    return due


async def _read(consumer: AIOKafkaConsumer, total: int, report: Report) -> dict[str, float]:
    """When the event of each request was read, by request id; ends when all were."""
    seen: dict[str, float] = {}
    async for record in consumer:
        at = time.monotonic()
        seen.setdefault(orjson.loads(record.value)["request_id"], at)
        report(1)
        if len(seen) == total:
            break
    return seen
