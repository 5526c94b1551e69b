"""What the tests of event streams share: gateways on one Kafka, and events written straight into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import ClientResponse, ClientWebSocketResponse

from gateway.app import build_app
from gateway.services import SERVICES
from gateway.settings import GatewaySettings
from infra.onnx import Embedder
from infra.postgres import Database, PostgresSettings
from schemas.events import Event, change_event
from schemas.history import ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.memories import Memory
from schemas.scope import Scope
from streams.producer import Producer
from streams.settings import KafkaSettings
from streams.topics import ensure_topics
from tests.integration.gateway_world import NO_WEAVIATE, SETTINGS, Client, announce, eventually, serving

WAIT_S = 60


def added(text: str, user: str = "alice", project: str = "ours") -> Event:
    """The event of a memory that was stored just now."""
    scope, now, request = Scope(project, user_id=user), datetime.now(UTC), str(uuid4())
    entry = HistoryEntry(ChangeKind.ADDED, Memory(uuid4(), scope, text, 1, now, now), None, None, request, 0, now)
    return change_event(entry, RequestOutcome(request, scope, "add", "h", RequestStatus.SUCCEEDED, now, 1))


@dataclass
class Streamed:
    """One message of an event stream."""

    id: str = ""
    event: str = ""
    data: Any = None

    @property
    def text(self) -> str:
        """The text of the memory that it is about."""
        text: str = self.data["data"]["memory"]["text"]
        return text


@dataclass
class Stream:
    """A stream that is being read; ``cursor`` is where to go on."""

    response: ClientResponse
    cursor: str = ""

    async def next(self) -> Streamed:
        """The next message that has data."""
        message = Streamed()
        async with asyncio.timeout(WAIT_S):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "id":
                    message.id = value
                elif name == "event":
                    message.event = value
                elif name == "data":
                    message.data = value if message.event.startswith("agentmem.stream") else orjson.loads(value)
                elif not name:
                    self.cursor = message.id or self.cursor
                    if message.data is not None:
                        return message
                    message = Streamed()
        raise EOFError

    async def texts(self, number: int) -> list[str]:
        return [(await self.next()).text for _ in range(number)]

    async def position(self) -> str:
        """The cursor that the stream begins with."""
        while not self.cursor:
            line = (await self.response.content.readline()).decode()
            if line.startswith("id: "):
                self.cursor = line[4:].rstrip("\n")
        return self.cursor


@dataclass
class FeedsWorld:
    """Gateways without workers: what happens is what is published here."""

    gateways: list[Client]
    kafka: KafkaSettings
    producer: Producer
    database: Database
    token: str
    foreign_token: str

    async def publish(self, *events: Event) -> None:
        await announce(self.producer, self.kafka, *events)

    def headers(self, token: str | None = None, cursor: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.token}"} | ({"Last-Event-ID": cursor} if cursor else {})

    @asynccontextmanager
    async def stream(
        self, query: str = "", *, gateway: int = 0, cursor: str | None = None, token: str | None = None
    ) -> AsyncIterator[Stream]:
        path = f"/v1/events/stream{query}"
        async with self.gateways[gateway].get(path, headers=self.headers(token, cursor)) as response:
            assert response.status == 200, await response.text()
            stream = Stream(response)
            await stream.position()
            yield stream

    async def refusal(self, query: str, token: str | None = None) -> tuple[int, Any]:
        """Status and problem of a stream that must not be."""
        async with self.gateways[0].get(f"/v1/events/stream{query}", headers=self.headers(token)) as response:
            return response.status, await response.json(content_type=None)

    @asynccontextmanager
    async def socket(self, token: str | None = None, gateway: int = 0) -> AsyncIterator[ClientWebSocketResponse]:
        async with self.gateways[gateway].ws_connect("/v1/events/ws", headers=self.headers(token)) as socket:
            yield socket


async def receive(socket: ClientWebSocketResponse, kind: str) -> Any:
    """The next message that is no mere position; it must be of this kind."""
    while True:
        message = await socket.receive_json(timeout=WAIT_S)
        if message["type"] != "position":
            assert message["type"] == kind, message
            return message


@asynccontextmanager
async def feeds_world(
    kafka: KafkaSettings, postgres: PostgresSettings, embedder: Embedder, gateways: int = 2, **settings: Any
) -> AsyncIterator[FeedsWorld]:
    await ensure_topics(kafka)
    gateway = GatewaySettings(**{**SETTINGS.model_dump(), "key_cache_s": 0.2, "probe_interval_s": 5, **settings})
    async with AsyncExitStack() as stack:
        database = Database(postgres)
        stack.callback(database.close)
        clients = [
            await stack.enter_async_context(serving(build_app(gateway, kafka, postgres, NO_WEAVIATE, embedder)))
            for _ in range(gateways)
        ]
        producer = await stack.enter_async_context(Producer(kafka))
        tokens = [database.create_api_key(project, "test") for project in ("ours", "theirs")]
        world = FeedsWorld(clients, kafka, producer, database, *tokens)

        async def positioned() -> bool:
            return all(client.app[SERVICES].readers._listener.positioned for client in clients)

        await eventually(positioned)
        yield world
