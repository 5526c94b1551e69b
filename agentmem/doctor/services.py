"""What serves: the gateway and the worker, asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from agentmem.doctor.findings import Finding, failed, ok, skipped, warning
from agentmem.exit_codes import CommandError, ExitCode
from agentmem.masking import masked
from agentmem.settings import Settings
from agents.settings import WorkerSettings
from schemas.problems import StoreUnavailableError


async def gateway_check(settings: Settings, *, expected: bool) -> list[Finding]:
    """It is ready, and takes the API key. One that nobody ``expected`` may be missing."""
    url = settings.url.rstrip("/")
    start = "start one with 'agentmem gateway', or set AGENTMEM_URL"
    try:
        report = await _get(f"{url}/health/ready")
    except StoreUnavailableError as error:
        return [failed(str(error), start, ExitCode.UNAVAILABLE) if expected else warning(str(error), start)]
    components = report.get("components")
    if not isinstance(components, dict):
        return [failed(f"what answers at {masked(url)} is no AgentMem gateway", "set AGENTMEM_URL")]
    found = [
        failed(
            f"the gateway does not reach {name}",
            "see that check; the gateway's log says more",
            ExitCode.UNAVAILABLE,
        )
        for name, component in components.items()
        if component["status"] != "up"
    ]
    if settings.api_key is None:
        return found or ok(f"{masked(url)} is ready; no API key is set to try")
    try:
        project = await _project(settings)
    except CommandError as error:
        return [*found, failed(str(error), "agentmem config api_key says where the key comes from", error.code)]
    return found or ok(f"{masked(url)} is ready, the API key opens the project {project}")


async def worker_check(settings: WorkerSettings) -> list[Finding]:
    """The one whose port is set is a member of its group and reaches its stores."""
    if not settings.port:
        return skipped("the worker has no health port", "set worker.port to have one")
    try:
        report = await _get(f"http://{settings.host}:{settings.port}/health/ready")
    except StoreUnavailableError as error:
        return [failed(str(error), "start one with 'agentmem worker', or set worker.port", ExitCode.UNAVAILABLE)]
    problems = report.get("problems")
    if not isinstance(problems, dict):
        detail = f"what answers at {settings.host}:{settings.port} is no AgentMem worker"
        return [failed(detail, "set worker.host and worker.port")]
    return [
        failed(f"the worker waits: {name}: {problem}", "see the check of that component", ExitCode.UNAVAILABLE)
        for name, problem in problems.items()
    ] or ok("the worker is ready")


async def _project(settings: Settings) -> str:
    from agentmem.client import GatewayClient

    async with GatewayClient(settings) as gateway:
        answer = await gateway.call("GET", "/v1/ping/")
    return str(answer["project_id"])


async def _get(url: str) -> dict[str, Any]:
    async with _answer(url) as answer:
        try:
            document = orjson.loads(await answer.read())
        except orjson.JSONDecodeError:
            return {}
    return document if isinstance(document, dict) else {}


@asynccontextmanager
async def _answer(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            yield answer
    except (aiohttp.ClientError, OSError) as error:
        raise StoreUnavailableError(masked(url), getattr(error, "strerror", None) or repr(error)) from error
