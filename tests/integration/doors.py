"""A gateway for the tests of its doors: on real connections and Postgres; the other stores are away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.test_utils import unused_port

from agentmem.live_settings import LiveSettings
from gateway.app import build_app
from gateway.http.protocol import Runner
from gateway.settings import GatewaySettings
from infra.onnx import Embedder
from infra.postgres import Database, PostgresSettings
from infra.weaviate import WeaviateSettings
from streams.settings import KafkaSettings


@dataclass
class Door:
    """A running gateway and one caller of it."""

    session: ClientSession
    url: str
    port: int
    database: Database

    async def answer(
        self, method: str, path: str, token: str | None = None, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and document."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, self.url + path, json=body, headers=sent) as response:
            return response.status, await response.json(content_type=None)

    async def ping(self, token: str) -> int:
        """The status of a call that needs a good credential with the scope read, and nothing else."""
        return (await self.answer("GET", "/v1/ping/", token))[0]


@asynccontextmanager
async def doors(
    postgres: PostgresSettings, embedder: Embedder, number: int = 1, **settings: Any
) -> AsyncIterator[list[Door]]:
    """Gateways with the same settings and database; each remembers keys for a tenth of a second.

    With ``live`` they have its settings, and follow it.
    """
    nowhere = f"127.0.0.1:{unused_port()}"
    kafka = KafkaSettings(bootstrap_servers=nowhere)
    weaviate = WeaviateSettings(url=f"http://{nowhere}", grpc=nowhere)
    live: LiveSettings | None = settings.pop("live", None)
    gateway = live.settings.gateway if live else GatewaySettings(**{"key_cache_s": 0.1, **settings})
    database = Database(postgres)
    runners = []
    try:
        async with ClientSession() as session:
            opened = []
            for _ in range(number):
                app = build_app(gateway, kafka, postgres, weaviate, embedder, configuration=live)
                runner = Runner(app, gateway)
                runners.append(runner)
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                port = runner.addresses[0][1]
                opened.append(Door(session, f"http://127.0.0.1:{port}", port, database))
            yield opened
    finally:
        for runner in runners:
            await runner.cleanup()
        database.close()
