"""``agentmem events``, which reads Kafka itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from agentmem.exit_codes import ExitCode
from schemas.events import EventType
from streams.settings import KafkaSettings
from streams.topics import Topics, admin_client
from tests.acceptance.command import Agentmem
from tests.acceptance.test_cli_system import wait_for_line

START = datetime(2026, 1, 1, tzinfo=UTC)


async def publish(settings: KafkaSettings, numbers: range, user: str = "alice", project: str = "default") -> None:
    """One event a second from START on: ``text 0``, ``text 1`` …"""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        for number in numbers:
            time = START + timedelta(seconds=number)
            memory = dict.fromkeys(("agent_id", "app_id", "run_id")) | {
                "id": str(uuid5(UUID(int=0), str(number))),
                "text": f"text {number}",
                "role": "user",
                "user_id": user,
                "metadata": {},
                "created_at": time.isoformat(),
                "updated_at": time.isoformat(),
            }
            body = {"project": project, "request_id": f"r{number}", "op": "add", "index": 0, "count": 1}
            kind = EventType.DELETED if number == 3 else EventType.ADDED
            headers = {"ce_id": str(number), "ce_type": kind, "ce_source": "/x", "ce_time": time.isoformat()}
            await producer.send_and_wait(
                Topics.of(settings).events,
                json.dumps(body | {"memory": memory}).encode(),
                key=f"{project}/user:{user}".encode(),
                headers=[(name, value.encode()) for name, value in headers.items()],
                timestamp_ms=int(time.timestamp() * 1000),
            )


@pytest.fixture
async def producers_times(kafka_settings: KafkaSettings) -> None:
    """The topic of the events is there already, and keeps the times that records bring."""
    topic = NewTopic(
        name=Topics.of(kafka_settings).events,
        num_partitions=kafka_settings.partitions,
        replication_factor=1,
        topic_configs={"message.timestamp.type": "CreateTime"},
    )
    async with admin_client(kafka_settings) as admin:
        await admin.create_topics([topic])


async def test_what_is_read(producers_times: None, with_kafka: Agentmem, kafka_settings: KafkaSettings) -> None:
    assert with_kafka("events").out == ""
    await publish(kafka_settings, range(5))
    await publish(kafka_settings, range(5, 7), user="bob", project="other")

    def texts(*arguments: str) -> list[str]:
        result = with_kafka("events", *arguments)
        assert result.code == ExitCode.OK, result.err
        return [line.split(" text ")[1] for line in result.out.splitlines()]

    assert texts() == ["0", "1", "2", "3", "4", "5", "6"]
    assert texts("-n", "2") == ["0", "1"]
    assert texts("--from", "2026-01-01T00:00:04Z") == ["4", "5", "6"]
    assert texts("--from", "2026-02-01") == []
    assert texts("--from", "end") == []
    assert texts("--project", "other") == ["5", "6"]
    assert texts("--user", "alice", "--type", "deleted") == ["3"]
    assert texts("--user", "alice", "--agent", "x") == []
    document = json.loads(with_kafka("events", "--json", "-n", "1").out)
    assert (document["specversion"], document["data"]["memory"]["text"]) == ("1.0", "text 0")


async def test_following_until_ctrl_c(with_kafka: Agentmem, kafka_settings: KafkaSettings) -> None:
    await publish(kafka_settings, range(1))
    with with_kafka.running("events", "--follow") as follow:
        wait_for_line(follow, "text 0")
        await publish(kafka_settings, range(1, 2))
        wait_for_line(follow, "text 1")
        assert follow.interrupt() == ExitCode.INTERRUPTED
    assert [line.strip()[-6:] for line in follow.lines] == ["text 0", "text 1", ""]


async def test_a_record_that_is_no_event_is_told_and_passed_over(
    with_kafka: Agentmem, kafka_settings: KafkaSettings
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka_settings.bootstrap_servers) as producer:
        await producer.send_and_wait(Topics.of(kafka_settings).events, b"what?")
    await publish(kafka_settings, range(1))
    result = with_kafka("events")
    assert result.out.endswith("text 0\n")
    assert "is no event: the header 'ce_id' is missing" in result.err


def test_without_topics_and_without_kafka(agentmem: Agentmem, kafka_bootstrap: str, closed_port: int) -> None:
    here = agentmem.with_environment(AGENTMEM_KAFKA_BOOTSTRAP_SERVERS=kafka_bootstrap)
    missing = here("events", AGENTMEM_KAFKA_TOPIC_PREFIX="nobody-made-")
    assert missing.code == ExitCode.MISCONFIGURED
    assert "run 'agentmem topics'" in missing.err
    down = agentmem("events", AGENTMEM_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{closed_port}")
    assert down.code == ExitCode.UNAVAILABLE
    assert "Traceback" not in down.err


def test_a_start_that_is_no_time(agentmem: Agentmem) -> None:
    result = agentmem("events", "--from", "yesterday")
    assert result.code == ExitCode.USAGE
    assert "give beginning, end, or a time" in result.err
