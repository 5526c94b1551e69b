"""How topics are made, and what the doctor says of topics that are made so."""

from __future__ import annotations

import pytest

from agentmem.doctor import kafka
from agentmem.doctor.findings import Status
from streams.inspection import TopicState
from streams.settings import KafkaSettings
from streams.topics import topic_configs

BROKERS_DEFAULTS = {"min.insync.replicas": "1", "cleanup.policy": "delete", "retention.bytes": "-1"}


@pytest.mark.parametrize(("copies", "least"), [(1, None), (2, "1"), (3, "2"), (5, "4")])
def test_all_copies_but_one_have_what_is_acknowledged(copies: int, least: str | None) -> None:
    for configs in topic_configs(KafkaSettings(replication_factor=copies)).values():
        assert configs.get("min.insync.replicas") == least


@pytest.mark.parametrize(
    ("copies", "remedy"), [(1, None), (2, "give it a third replica with kafka-reassign-partitions.sh"), (3, None)]
)
async def test_the_doctor_finds_them_well_unless_a_copy_is_missing(
    copies: int, remedy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = KafkaSettings(replication_factor=copies)

    async def read(_: KafkaSettings) -> dict[str, TopicState]:
        made = topic_configs(settings).items()
        return {name: TopicState(6, copies, copies, 0, BROKERS_DEFAULTS | configs) for name, configs in made}

    monkeypatch.setattr(kafka, "read_topics", read)
    for found in await kafka.topics_check(settings):
        assert found.status is (Status.WARNING if remedy else Status.OK)
        assert found.remedy.startswith(remedy or "")
