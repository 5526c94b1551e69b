"""The log's line of a dead letter names the request and its trace, whichever stage set it aside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from agents.items import Item
from agents.preparing import Prepared
from agents.projection import Projection
from agents.stages.announce import AnnounceStage
from agents.storing import Storing
from agents.waiting import Waiting
from infra.telemetry import tracing
from schemas.events import EventType
from schemas.history import RequestStatus
from schemas.requests import MemoryRequest
from streams.producer import Producer
from streams.records import Batch, Record
from streams.settings import KafkaSettings
from streams.topics import Topics, ensure_topics
from tests.harness.grpc_proxy import WeaviateProxy
from tests.harness.kafka import Message, caught_up, publish
from tests.harness.observed import observe
from tests.harness.system import System
from tests.harness.workload import message

WITHIN_S = 180
TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode()),)
ADD: dict[str, Any] = {"request_id": "add", "op": "add", "user_id": "ana", "text": "likes tea"}
WITH_IDS = {"project": "default", "request_id": "add", "trace_id": TRACE}


def ids_of(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in WITH_IDS}


async def test_of_what_only_search_lacks(system: System) -> None:
    """Weaviate refuses the object for good. The change stands in Postgres: its request has not failed."""
    [add, broken] = [message(ADD), Message(None, b"{")]
    async with WeaviateProxy(system.weaviate.grpc, Random(7)).listening() as weaviate:
        weaviate.refused, weaviate.refusal = 1.0, "invalid object"
        await publish(system, [Message(one.key, one.value, HEADERS) for one in (add, broken)])
        worker = system.start_worker(environment={"AGENTMEM_WEAVIATE_GRPC": f"127.0.0.1:{weaviate.port}"})
        await caught_up(system, WITHIN_S)
    logged = [json.loads(line) for line in worker.text().splitlines() if line.startswith("{")]
    lines = {line["stage"]: line for line in logged if line["event"] == "dead letter"}
    assert ids_of(lines["project"]) == WITH_IDS
    assert ids_of(lines["decode"]) == {"project": None, "request_id": None, "trace_id": TRACE}
    seen = await observe(system)
    assert [outcome.status for outcome in seen.outcomes.values()] == [RequestStatus.SUCCEEDED]
    assert [event.header("ce_type") for event in seen.events] == [EventType.ADDED]


async def test_of_what_nobody_expected(
    both: Projection, kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault is ours, so its line brings the traceback along."""

    async def project(*_: object, **__: object) -> None:
        raise KeyError("column")

    monkeypatch.setattr(both.projecting, "project", project)
    await ensure_topics(kafka_settings)
    topics = Topics.of(kafka_settings)
    record = Record(topics.requests, 0, 7, 0.0, None, b"{}", HEADERS)
    add = Item(record, MemoryRequest.model_validate(ADD), tracing.begin("process", HEADERS[0][1].decode(), {}))
    async with Producer(kafka_settings) as producer:
        storing = Storing(both.database, both.projecting, AnnounceStage(producer, topics), Waiting())
        with capture_logs() as lines:
            await storing.store(Prepared(Batch([record], 0), [add], [], {}), lambda: None)
    [line] = [line for line in lines if line["event"] == "dead letter"]
    assert ids_of(line) == WITH_IDS
    assert (line["log_level"], line["reason"], line["stage"]) == ("error", "unexpected_error", "project")
    assert line["source"] == f"{topics.requests}/0/7"
    assert isinstance(line["exc_info"], KeyError)
