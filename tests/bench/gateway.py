"""How fast the gateway answers a steady load while the rest of the stack works beside it."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final

from aiohttp import ClientSession
from aiohttp.test_utils import unused_port

from infra.postgres import Database
from schemas.requests import DEFAULT_PROJECT
from tests.bench.calls import HEALTH, KINDS, Call, calls
from tests.bench.draining import Report
from tests.bench.pacing import paced
from tests.bench.percentiles import percentiles
from tests.bench.place import Place, place
from tests.bench.process import process
from tests.bench.publishing import publish
from tests.bench.requests import request_of
from tests.bench.turns import turns
from tests.bench.worker import worker

#: Calls a second; of the four kinds together, and of health beside them.
RATE: Final = 50.0
_HEALTH_RATE: Final = 10.0
_WARM_UP_S: Final = 3.0
_MEMORIES: Final = 1024

#: Seconds that calls took, by kind.
Taken = dict[str, list[float]]


def steps(seconds: float) -> int:
    """How much :func:`gateway` reports: memories stored before, and calls."""
    return _MEMORIES + _rounds(seconds) * len(KINDS) + _count(_HEALTH_RATE, seconds)


async def gateway(
    stores: Mapping[str, str], variant: str, seconds: float, seed: int, report: Report
) -> dict[str, Any]:
    """Percentiles of each kind of call, from when it was due until its answer was read."""
    texts = turns(seed)
    stored = list(islice(texts, _MEMORIES))
    load = calls(stored, list(islice(texts, _rounds(seconds))))
    health = [HEALTH] * _count(_HEALTH_RATE, seconds)
    taken: Taken = defaultdict(list)
    async with place(stores, variant) as here:
        await publish(here, map(request_of, range(_MEMORIES), stored))
        async with worker(here) as running, _opened(here) as session:
            before = 0
            async for sample in running.samples():
                report(sample.committed - before)
                before = sample.committed
                if before >= _MEMORIES:
                    break
            await asyncio.gather(
                _call_all(session, load, RATE, taken, report),
                _call_all(session, health, _HEALTH_RATE, taken, report),
            )
    return {
        "gateway_ms": {kind: percentiles(taken[kind]) for kind in (*KINDS, HEALTH.kind)},
        "gateway_rate_per_s": RATE,
    }


@asynccontextmanager
async def _opened(here: Place) -> AsyncIterator[ClientSession]:
    """A gateway that is ready, and a session with a key of its project."""
    port = unused_port()
    database = Database(here.settings.postgres)
    try:
        token = await asyncio.to_thread(database.create_api_key, DEFAULT_PROJECT, "bench")
    finally:
        database.close()
    async with process("gateway", {**here.environment, "AGENTMEM_GATEWAY_PORT": str(port)}, port) as running:
        await running.starting
        async with ClientSession(running.url, headers={"Authorization": f"Token {token}"}) as session:
            yield session


async def _call_all(
    session: ClientSession, load: Sequence[Call], rate: float, taken: Taken, report: Report
) -> None:
    async with asyncio.TaskGroup() as tasks:
        async for number, due in paced(rate, len(load)):
            counts = number >= rate * _WARM_UP_S
            tasks.create_task(
                _call(session, load[number], due, taken[load[number].kind] if counts else [], report)
            )


async def _call(session: ClientSession, call: Call, due: float, taken: list[float], report: Report) -> None:
    async with session.request(call.method, call.path, json=call.body) as response:
        answer = await response.text()
    taken.append(time.monotonic() - due)
    if response.status != 200:
        raise RuntimeError(f"{call.method} {call.path} was answered {response.status}: {answer}")
    report(1)


def _rounds(seconds: float) -> int:
    return _count(RATE / len(KINDS), seconds)


def _count(rate: float, seconds: float) -> int:
    return int(rate * (_WARM_UP_S + seconds))
