"""The examples run as a reader would run them, against a real Kafka and a real gateway."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from schemas.requests import MemoryRequest
from streams.producer import Producer, acknowledged
from streams.settings import KafkaSettings
from streams.topics import Topics, ensure_topics
from tests.integration.gateway_world import World, announce
from tests.unit.schemas_samples import EVENTS

EXAMPLES = Path(__file__).parents[2] / "examples"
KEYS = [f"default/user:{index}" for index in range(30)] + ["my%20project/run:2030%2F01", "p/agent:%C3%A9"]
PYTHON = (sys.executable,)
RUN_S = 120


@pytest.fixture
async def kafka(kafka_settings: KafkaSettings) -> KafkaSettings:
    await ensure_topics(kafka_settings)
    return kafka_settings


def environment(kafka: KafkaSettings, path: Path | None = None) -> dict[str, str]:
    return os.environ | {
        "AGENTMEM_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "AGENTMEM_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "PATH": os.pathsep.join([*([str(path)] if path else []), os.environ["PATH"]]),
    }


async def run(*argv: str, env: dict[str, str], stdin: bytes = b"") -> str:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(stdin), RUN_S)
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def read(kafka: KafkaSettings, count: int) -> list[ConsumerRecord]:
    """The first ``count`` records of the request topic."""
    consumer = AIOKafkaConsumer(
        Topics.of(kafka).requests, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    async with consumer, asyncio.timeout(RUN_S):
        return [await consumer.getone() for _ in range(count)]


async def check_producer(kafka: KafkaSettings, *argv: str, path: Path | None = None) -> None:
    output = await run(*argv, env=environment(kafka, path))
    (record,) = await read(kafka, 1)
    request = MemoryRequest.model_validate(orjson.loads(record.value))
    assert record.key.decode() == request.scope.key == "default/user:alice"
    assert request.request_id in output


@pytest.mark.parametrize("name", ["produce_aiokafka.py", "produce_confluent.py"])
async def test_python_producer_publishes_a_request(kafka: KafkaSettings, name: str) -> None:
    await check_producer(kafka, *PYTHON, str(EXAMPLES / name))


async def test_console_producer_publishes_a_request(kafka: KafkaSettings, kafka_home: Path) -> None:
    await check_producer(kafka, "sh", str(EXAMPLES / "produce_console.sh"), path=kafka_home / "bin")


def partitions(records: Iterable[ConsumerRecord]) -> dict[str, int]:
    return {record.key.decode(): record.partition for record in records}


async def test_all_producers_put_a_key_into_the_same_partition(kafka: KafkaSettings, kafka_home: Path) -> None:
    topic = Topics.of(kafka).requests
    script = kafka_home / "bin" / "kafka-console-producer.sh"
    lines = "".join(f"{key}\tjava\n" for key in KEYS).encode()
    options = ("--bootstrap-server", kafka.bootstrap_servers, "--topic", topic, "--property", "parse.key=true")
    await run(str(script), *options, env=environment(kafka), stdin=lines)
    async with Producer(kafka) as producer:
        await acknowledged([await producer.send(topic, key=key.encode(), value=b"aiokafka") for key in KEYS])
    await asyncio.to_thread(produce_with_confluent, kafka.bootstrap_servers, topic)

    records = await read(kafka, 3 * len(KEYS))
    by_client = [
        partitions(record for record in records if record.value == client)
        for client in (b"java", b"aiokafka", b"confluent")
    ]
    assert by_client[0] == by_client[1] == by_client[2]
    assert set(by_client[0]) == set(KEYS)
    assert len(set(by_client[0].values())) > 1


def produce_with_confluent(bootstrap_servers: str, topic: str) -> None:
    from confluent_kafka import Producer as ConfluentProducer

    producer = ConfluentProducer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random"})
    for key in KEYS:
        producer.produce(topic, key=key.encode(), value=b"confluent")
    assert producer.flush(RUN_S) == 0


async def test_consumer_example_prints_events(kafka: KafkaSettings) -> None:
    async with Producer(kafka) as producer:
        await announce(producer, kafka, *EVENTS)
    process = await asyncio.create_subprocess_exec(
        *PYTHON,
        str(EXAMPLES / "consume_aiokafka.py"),
        env=environment(kafka),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(RUN_S):
            lines = [(await process.stdout.readline()).decode() for _ in EVENTS]
    finally:
        process.terminate()
        await process.communicate()
    assert [line.split()[0] for line in lines] == [event.type.value for event in EVENTS]
    assert lines[0].split(maxsplit=3)[1:] == ["default/user:alice", "r1", "I like hiking.\n"]
    assert lines[-1].rstrip().endswith("not_found")


def of_gateway(world: World, **more: str) -> dict[str, str]:
    url = str(world.client.make_url("")).rstrip("/")
    return os.environ | {"AGENTMEM_URL": url, "AGENTMEM_API_KEY": world.token, **more}


async def test_mem0s_javascript_client_in_short(world: World, node_modules: Path, tmp_path: Path) -> None:
    mem0 = {"NODE_PATH": str(node_modules), "MEM0_TELEMETRY": "false", "MEM0_DIR": str(tmp_path)}
    output = await run("node", str(EXAMPLES / "mem0_client.cjs"), env=of_gateway(world, **mem0))
    violin, cello = (f"I play the {instrument} in a string quartet." for instrument in ("violin", "cello"))
    assert output.splitlines() == [
        "added 2 memories",
        f"found: {violin}",
        f"now: {cello}",
        f"ADD: - -> {violin}",
        f"UPDATE: {violin} -> {cello}",
        f"DELETE: {cello} -> -",
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_curl_adds_searches_and_resumes(world: World) -> None:
    output = await run("sh", str(EXAMPLES / "curl.sh"), env=of_gateway(world))
    first, found, hung_up, second, heard = output.splitlines()
    assert (first, second) == ("stored: Ada moved to Lisbon.", "stored: Ada sings in a choir.")
    assert [one["memory"] for one in orjson.loads(found)["results"]] == ["Ada moved to Lisbon."]
    assert hung_up.startswith("heard of it, and hung up at ")
    assert heard == "Ada sings in a choir."
