"""A gateway as a process of a system, and its callers."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from infra.postgres import Database
from infra.postgres.keys import SCOPES
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workers import WorkerProcess


class Gateway:
    """Serves at one port, by one process after the other."""

    def __init__(self, system: System, port: int, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._system = system
        self._port = port
        self._environment = environment
        database = Database(system.postgres)
        try:
            token = database.create_api_key("default", "chaos", SCOPES)
        finally:
            database.close()
        self.headers = {"Authorization": f"Token {token}"}
        self.process: WorkerProcess

    async def start(self) -> None:
        """Start a process and wait until it is ready."""
        arguments = ("gateway", "--port", str(self._port))
        self.process = self._system.start("gateway", *arguments, environment=self._environment)
        await eventually(self._ready, 120, f"{self.url} is ready", self.process.tail)

    async def post(self, path: str, body: Any, **headers: str) -> Any:
        """Post and return the answer, which must be 200; raises ``ClientError`` when the gateway dies."""
        return await self._call("POST", path, body, headers)

    async def get(self, path: str, **headers: str) -> Any:
        """As ``post``."""
        return await self._call("GET", path, None, headers)

    async def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        timeout = aiohttp.ClientTimeout(total=120)
        async with (
            aiohttp.ClientSession(self.url, headers={**self.headers, **headers}, timeout=timeout) as session,
            session.request(method, path, json=body) as response,
        ):
            document = await response.json()
            assert response.status == 200, document
            return document

    async def _ready(self) -> bool:
        assert self.process.code is None, self.process.tail()
        try:
            async with aiohttp.ClientSession(self.url) as session, session.get("/health/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


async def has_streams(url: str, count: int) -> None:
    """Wait until the gateway at this address serves so many event streams."""

    async def there() -> bool:
        async with aiohttp.ClientSession(url) as session, session.get("/metrics") as response:
            return f"agentmem_gateway_feeds {count:.1f}" in (await response.text()).splitlines()

    await eventually(there, 120, f"{count} streams at {url}")


async def broken_off(calls: list[asyncio.Task[Any]]) -> None:
    """All these calls end because the gateway died, and none because it answered."""
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, aiohttp.ClientError) for end in ends), ends
