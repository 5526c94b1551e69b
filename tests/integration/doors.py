"""A gateway for the tests of its doors: on real connections and Postgres; the other stores are away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, web

from agentmem.live_settings import LiveSettings
from gateway.app import build_app
from gateway.http.protocol import Runner
from gateway.settings import GatewaySettings
from infra.onnx import Embedder
from infra.postgres import Database, PostgresSettings
from streams.settings import KafkaSettings
from tests.integration.gateway_world import NO_WEAVIATE, NOWHERE

#: How long each gateway remembers a credential.
KEY_CACHE_S = 0.1


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


async def forgotten() -> None:
    """Returns when no gateway may remember what it knew of a credential."""
    await asyncio.sleep(2 * KEY_CACHE_S)


@asynccontextmanager
async def doors(
    postgres: PostgresSettings, embedder: Embedder, number: int = 1, **settings: Any
) -> AsyncIterator[list[Door]]:
    """Gateways with the same settings and database.

    With ``live`` they have its settings, and follow it.
    """
    kafka = KafkaSettings(bootstrap_servers=NOWHERE)
    live: LiveSettings | None = settings.pop("live", None)
    gateway = live.settings.gateway if live else GatewaySettings(**{"key_cache_s": KEY_CACHE_S, **settings})
    database = Database(postgres)
    runners = []
    try:
        async with ClientSession() as session:
            opened = []
            for _ in range(number):
                app = build_app(gateway, kafka, postgres, NO_WEAVIATE, embedder, configuration=live)
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
