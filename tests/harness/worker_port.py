"""A worker's own port, as an orchestrator asks it."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson
from aiohttp.test_utils import unused_port

from tests.harness.system import System
from tests.harness.waiting import eventually

#: Far more than two looks at a store take, on a machine that does much else.
_WITHIN_S = 120


class WorkerPort:
    """A free port, for a worker with :attr:`environment`."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._port = unused_port()
        self.environment = {"AGENTMEM_WORKER_PORT": str(self._port)}

    async def get(self, path: str) -> tuple[int, str]:
        """The status and the text of an answer."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self._port}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def problems(self) -> dict[str, Any]:
        """What keeps the worker from being ready; the status must agree."""
        status, text = await self.get("/health/ready")
        answer = orjson.loads(text)
        problems: dict[str, Any] = answer["problems"]
        assert (status, answer["status"]) == ((503, "unavailable") if problems else (200, "ok"))
        return problems

    async def is_ready(self) -> bool:
        """Whether the worker listens, and nothing is wrong."""
        try:
            return not await self.problems()
        except aiohttp.ClientConnectorError:
            return False

    async def becomes_ready(self) -> None:
        """Wait until it is, while no worker ends."""

        async def ready() -> bool:
            assert all(worker.code is None for worker in self._system.workers), self._system.logs()
            return await self.is_ready()

        await eventually(ready, _WITHIN_S, "the worker is ready", self._system.logs)

    async def has_problem(self, component: str, text: str = "") -> None:
        """Wait until this component is one, with this text."""

        async def told() -> bool:
            problems = await self.problems()
            return component in problems and text in problems[component]

        await eventually(told, _WITHIN_S, f"the worker has a problem with {component}", self._system.logs)
