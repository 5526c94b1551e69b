"""What the gateway's tests share: a client, stores that can go away, and a worker in place of the agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiokafka import AIOKafkaConsumer

from agents.stages.announce import events_of
from agents.stages.apply import apply
from agents.stages.purge import purge
from gateway.app import FAILED
from gateway.http.protocol import Runner
from gateway.settings import GatewaySettings
from infra.onnx import Embedder
from infra.postgres import Database
from infra.weaviate import Point, VectorIndex, WeaviateSettings
from schemas.events import Event
from schemas.history import HistoryEntry
from schemas.requests import MemoryRequest
from streams.producer import Producer, acknowledged
from streams.settings import KafkaSettings
from streams.topics import Topics
from tests.harness.items import item

Client = TestClient[web.Request, web.Application]
#: An address at which nobody listens, and a Weaviate there.
NOWHERE = "127.0.0.1:1"
NO_WEAVIATE = WeaviateSettings(url=f"http://{NOWHERE}", grpc="127.0.0.1:2")
SETTINGS = GatewaySettings(
    probe_interval_s=0.1,
    wait_timeout_s=30,
    feed_heartbeat_s=0.2,
    feed_queue=50,
    feed_send_timeout_s=1,
    retry_after_s=3,
    rate_address=10_000,
)

#: For calls that are not done in time.
IMPATIENT = SETTINGS.model_copy(update={"wait_timeout_s": 1})


class Worker:
    """Carries out requests one by one, while ``running`` is set."""

    def __init__(self, kafka: KafkaSettings, database: Database, index: VectorIndex, embedder: Embedder) -> None:
        self._kafka = kafka
        self.database = database
        self._index = index
        self._embedder = embedder
        #: The trace context that came with each record.
        self.traces: list[bytes | None] = []
        self.running = asyncio.Event()
        self.running.set()

    async def run(self) -> None:
        consumer = AIOKafkaConsumer(
            Topics.of(self._kafka).requests,
            bootstrap_servers=self._kafka.bootstrap_servers,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            async with Producer(self._kafka) as producer:
                async for record in consumer:
                    self.traces.append(dict(record.headers).get("traceparent"))
                    await self.running.wait()
                    await self.apply(MemoryRequest.model_validate_json(record.value), producer)
        finally:
            await consumer.stop()

    async def apply(self, request: MemoryRequest, producer: Producer) -> None:
        one = item(request)
        if request.op == "delete_all":
            while (outcome := purge(self.database, one)).is_open:
                pass
            history: Sequence[HistoryEntry] = self.database.request_history(request.project, request.request_id)
        else:
            [applied], _ = apply(self.database, [one])
            outcome, history = applied.outcome, applied.history
        live = [entry.memory for entry in history if entry.memory.deleted_at is None]
        vectors = self._embedder.embed([memory.embedding_text for memory in live] or [""]).vectors
        points = zip(live, vectors, strict=False)
        await self._index.upsert([Point(m.id, m.version, m.scope, vector) for m, vector in points])
        await self._index.delete([entry.memory.id for entry in history if entry.memory.deleted_at])
        await announce(producer, self._kafka, *events_of(outcome, history))


async def announce(producer: Producer, kafka: KafkaSettings, *events: Event) -> None:
    """Publish events as a worker does; returns when Kafka has them."""
    topic = Topics.of(kafka).events
    sent = [
        await producer.send(topic, key=event.key.encode(), value=event.body, headers=event.headers())
        for event in events
    ]
    await acknowledged(sent)


@dataclass
class World:
    client: Client
    worker: Worker
    token: str
    foreign_token: str

    async def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> Any:
        status, document = await self.answer(method, path, body, token, **headers)
        assert status == 200, document
        return document

    async def answer(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        sent = {"Authorization": f"Token {token or self.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(method, path, json=body, headers=sent) as response:
            assert "X-Request-ID" in response.headers
            return response.status, await response.json(content_type=None)

    async def add(self, messages: Any, user: str = "alice", **more: Any) -> Any:
        body = {"messages": messages, "user_id": user, "infer": False, **more}
        return await self.call("POST", "/v3/memories/add/", body)

    async def search(self, query: str, **more: Any) -> list[Any]:
        body = {"query": query, "filters": {"user_id": "alice"}, **more}
        found = await self.call("POST", "/v3/memories/search/", body)
        results: list[Any] = found["results"]
        return results


class Server(TestServer):
    """Serves on the gateway's own kind of connections."""

    async def _make_runner(self, **_: Any) -> Runner:
        return Runner(self.app, SETTINGS)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[Client]:
    async with TestClient(Server(app)) as client:
        yield client


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # what is awaited happens behind HTTP
            await asyncio.sleep(0.05)


async def ready(client: Client) -> bool:
    async with client.get("/health/ready") as response:
        up = response.status == 200
    failed = client.app[FAILED]
    if failed.done():
        failed.result()
    return up
