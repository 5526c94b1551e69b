"""``agentmem doctor`` beside a whole system, and beside one of which something is wrong."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from agentmem.exit_codes import ExitCode
from infra.postgres import PostgresSettings
from infra.postgres.migrate import downgrade
from streams.settings import KafkaSettings
from streams.topics import Topics
from tests.acceptance.command import Agentmem, Result

CHECKS = [
    *("settings", "packages", "disk", "kafka", "topics", "group", "dead letters", "postgres", "clock", "schema"),
    *("rights", "model", "weaviate", "index", "gateway", "worker"),
]


def by_check(result: Result) -> dict[str, dict[str, Any]]:
    """The last finding of each check."""
    assert result.err == ""
    return {finding["check"]: finding for finding in json.loads(result.out)["checks"]}


def statuses(result: Result) -> dict[str, str]:
    return {name: finding["status"] for name, finding in by_check(result).items()}


def test_a_whole_system_is_healthy(system: Agentmem) -> None:
    result = system("doctor", "--json")
    found = statuses(result)
    assert list(found) == CHECKS
    assert result.code == ExitCode.OK, result.out
    # How much room there is belongs to the machine: tests/unit/test_doctor.py has its limits.
    assert found.pop("disk") in {"ok", "warning"}, result.out
    assert found == dict.fromkeys(set(CHECKS) - {"disk"}, "ok") | {"worker": "skipped"}, result.out
    assert json.loads(result.out)["healthy"] is True

    plain = system("doctor")
    assert plain.code == ExitCode.OK
    assert [line.split("\t")[1] for line in plain.out.splitlines()] == CHECKS

    # A wrong key, and a gateway that is not one, are told apart from one that is down.
    assert by_check(system("doctor", "--json", AGENTMEM_API_KEY="wrong"))["gateway"]["status"] == "failed"


@pytest.mark.parametrize(
    ("setting", "value", "check", "skipped"),
    [
        ("kafka.bootstrap_servers", "127.0.0.1:{}", "kafka", {"topics", "group", "dead letters"}),
        ("postgres.dsn", "postgresql://me:hunter2@127.0.0.1:{}/x", "postgres", {"clock", "schema", "rights"}),
        ("weaviate.url", "http://127.0.0.1:{}", "weaviate", {"index"}),
        ("weaviate.grpc", "127.0.0.1:{}", "weaviate", {"index"}),
    ],
)
def test_a_component_that_is_down_hides_no_other(
    configured: Agentmem, closed_port: int, setting: str, value: str, check: str, skipped: set[str]
) -> None:
    # Beside it only the gateway is down; nothing waits in Kafka, so a missing worker is but a warning.
    result = configured("--set", f"{setting}={value.format(closed_port)}", "doctor", "--json")
    assert result.code == ExitCode.UNAVAILABLE
    assert "hunter2" not in result.out
    found = by_check(result)
    assert found[check]["status"] == "failed"
    assert found[check]["remedy"]
    assert {name for name, finding in found.items() if finding["status"] == "skipped"} == skipped | {"worker"}
    assert {name for name, finding in found.items() if finding["status"] == "failed"} == {check, "gateway"}


def test_a_schema_of_another_version(configured: Agentmem, postgres_settings: PostgresSettings) -> None:
    downgrade(postgres_settings)
    found = by_check(configured("doctor", "--json"))
    assert (found["schema"]["status"], found["schema"]["remedy"]) == ("failed", "run 'agentmem migrate'")
    assert found["rights"]["status"] == "skipped"


def test_another_model_than_that_of_the_index(system: Agentmem) -> None:
    result = system("doctor", "--json", AGENTMEM_EMBEDDING_MODEL="/nowhere")
    found = by_check(result)
    assert result.code == ExitCode.MISCONFIGURED
    assert "there is no directory /nowhere" in found["model"]["detail"]
    assert found["index"]["status"] == "warning"
    assert "not compared" in found["index"]["detail"]

    other = by_check(system("doctor", "--json", AGENTMEM_EMBEDDING_VARIANT="int8"))["index"]
    assert other["status"] == "failed"
    assert "(int8, 384 dimensions)" in other["detail"]


async def test_topics_that_take_too_little_and_keep_too_short(
    configured: Agentmem, kafka_settings: KafkaSettings
) -> None:
    topics = Topics.of(kafka_settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
    await admin.start()
    configs = {"max.message.bytes": "1000", "retention.ms": "3600000", "min.insync.replicas": "2"}
    configs |= {"message.timestamp.type": "CreateTime"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.events, configs)])
    await admin.create_partitions({topics.dead_letters: NewPartitions(7)})
    await admin.close()
    result = configured("doctor", "--json")
    told = [finding for finding in json.loads(result.out)["checks"] if finding["check"] == "topics"]
    details = " ".join(finding["detail"] for finding in told)
    assert "max.message.bytes is 1000" in details
    assert "keeps records 1 hours, kafka.retention_hours is 168" in details
    assert "min.insync.replicas is 2, but it has 1 replicas" in details
    assert "differ in their partitions" in details
    [remedy] = [
        finding["remedy"] for finding in told if "message.timestamp.type is CreateTime" in finding["detail"]
    ]
    assert remedy.endswith(f"--topic {topics.events} --add-config message.timestamp.type=LogAppendTime")
    assert result.code == ExitCode.FAILED  # misconfigured, and the gateway does not answer


async def test_work_without_a_worker_and_dead_letters(configured: Agentmem, kafka_settings: KafkaSettings) -> None:
    topics = Topics.of(kafka_settings)
    async with AIOKafkaProducer(bootstrap_servers=kafka_settings.bootstrap_servers) as producer:
        await producer.send_and_wait(topics.requests, b"{}")
        await producer.send_and_wait(topics.dead_letters, b"{}")
    found = by_check(configured("doctor", "--json"))
    assert found["group"]["status"] == "failed"
    assert "0 workers, 1 records wait" in found["group"]["detail"]
    assert found["dead letters"]["status"] == "warning"
    assert found["dead letters"]["detail"].startswith("1 records were set aside")


def test_settings_that_are_not_valid(agentmem: Agentmem) -> None:
    result = agentmem("doctor", "--json", AGENTMEM_KAFKA_PARTITIONS="0", AGENTMEM_URL="ftp://x")
    assert result.code == ExitCode.USAGE
    found = json.loads(result.out)["checks"]
    assert [finding["status"] for finding in found] == ["failed", "failed"]
    assert "from environment variable AGENTMEM_KAFKA_PARTITIONS" in found[1]["detail"]


def test_ctrl_c_ends_it_quietly(agentmem: Agentmem) -> None:
    # Takes a connection and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with agentmem.running("--set", f"url={url}", "doctor") as doctor:
            connection, _ = silent.accept()
            with connection:
                assert doctor.interrupt() == ExitCode.INTERRUPTED
        assert "".join(doctor.lines).strip() == ""


def test_a_check_is_given_up_in_time(configured: Agentmem) -> None:
    # Takes connections and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = configured(
            *("--set", f"postgres.dsn=postgresql://me@{address}/x", "--set", "postgres.connect_timeout_s=60"),
            *("doctor", "--json", "--timeout", "15"),
        )
    found = by_check(result)
    assert found["postgres"]["detail"] == "no answer within 15 s"
    assert found["kafka"]["status"] == "ok"
