"""A gateway that is killed while its streams are read: another goes on from their cursors, and so does tail."""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from infra.postgres import Database
from streams.producer import Producer
from tests.harness.gateways import has_streams
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workers import WorkerProcess
from tests.integration.feeds_world import Stream, added
from tests.integration.gateway_world import announce

NUMBER = 600


async def serving(url: str, process: WorkerProcess) -> None:
    """Wait until it serves streams: for that Kafka is enough."""

    async def ready() -> bool:
        assert process.code is None, process.tail()
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
                return bool((await response.json())["components"]["kafka"]["status"] == "up")
        except aiohttp.ClientError:
            return False

    await eventually(ready, 120, f"{url} serves", process.tail)


@pytest.mark.timeout(400)
async def test_nothing_is_lost_when_a_gateway_is_killed(system: System) -> None:
    ports = [unused_port(), unused_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    gateways = [system.start("gateway", "gateway", "--port", str(port)) for port in ports]
    database = Database(system.postgres)
    token = database.create_api_key("ours", "test")
    database.close()
    for url, gateway in zip(urls, gateways, strict=True):
        await serving(url, gateway)
    of_tail = {"AGENTMEM_URL": urls[0], "AGENTMEM_API_KEY": token, "PYTHONUNBUFFERED": "1"}
    tail = system.start("tail", "tail", "--json", environment=of_tail)
    await has_streams(urls[0], 1)

    async def write() -> None:
        async with Producer(system.kafka) as producer:
            for number in range(NUMBER):
                await announce(producer, system.kafka, added(str(number)))
                await asyncio.sleep(0.01)

    seen: list[str] = []

    async def read() -> None:
        url, cursor = urls[0], ""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            while len(seen) < NUMBER:
                headers = {"Last-Event-ID": cursor} if cursor else {}
                try:
                    async with session.get(f"{url}/v1/events/stream", headers=headers) as response:
                        assert response.status == 200, await response.text()
                        stream = Stream(response, cursor)
                        await stream.position()
                        reading.set()
                        while len(seen) < NUMBER:
                            message = await stream.next()
                            seen.append(message.text)
                            cursor = message.id
                            if len(seen) == NUMBER // 3:
                                gateways[0].kill()
                except (aiohttp.ClientError, ConnectionError, EOFError):
                    url = urls[1]

    reading = asyncio.Event()
    reader = asyncio.create_task(read())
    await reading.wait()
    await asyncio.wait_for(asyncio.gather(reader, write()), 120)
    assert seen == [str(number) for number in range(NUMBER)]

    again = system.start("gateway", "gateway", "--port", str(ports[0]))
    await serving(urls[0], again)

    def texts() -> list[str]:
        return [line.split('"text":"')[1].split('"')[0] for line in tail.text().splitlines() if line[:1] == "{"]

    async def all_told() -> bool:
        return len(texts()) >= NUMBER

    await eventually(all_told, 120, "tail told everything", tail.tail)
    assert texts() == [str(number) for number in range(NUMBER)]
    tail.signal(signal.SIGINT)
    await tail.ended(60)
