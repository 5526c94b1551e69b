"""Kafka: the brokers, the three topics, the workers' group, and what was set aside."""

from __future__ import annotations

from collections.abc import Iterator

from agentmem.doctor.findings import Finding, failed, ok, warning
from agentmem.exit_codes import ExitCode
from infra.local.versions import KAFKA
from streams.inspection import TopicState, count_records, read_cluster, read_group, read_topics
from streams.lag import LagReader
from streams.settings import KafkaSettings
from streams.topics import Topics, topic_configs

_ALTER = "kafka-configs.sh --alter --topic {topic} --add-config {name}={value}"


async def brokers_check(settings: KafkaSettings) -> list[Finding]:
    """They answer, and are of the version that this is tested with."""
    cluster = await read_cluster(settings)
    detail = f"{cluster.brokers} broker{'s' if cluster.brokers != 1 else ''} behind {settings.bootstrap_servers}"
    if not cluster.is_kafka_4:
        return [warning(f"{detail}, older than Kafka 4", f"AgentMem is tested with Kafka {KAFKA}: upgrade")]
    return ok(f"{detail}, Kafka 4 or newer")


async def topics_check(settings: KafkaSettings) -> list[Finding]:
    """The three are there and take what we send, for as long as the settings say."""
    topics = await read_topics(settings)
    wanted = topic_configs(settings)
    if missing := [name for name in wanted if name not in topics]:
        remedy = "run 'agentmem topics', or set kafka.topic_prefix to that of your topics"
        return [failed(f"Kafka has no topic {', '.join(missing)}", remedy)]
    found: list[Finding] = []
    for name, topic in topics.items():
        found += [*_replication(name, topic, settings), *_configs(name, topic, wanted[name])]
    numbers = {name: topic.partitions for name, topic in topics.items()}
    if len(set(numbers.values())) > 1:
        each = ", ".join(f"{name} {number}" for name, number in numbers.items())
        found.append(
            warning(f"the topics differ in their partitions: {each}", "give all the number of memory-requests")
        )
    return found or ok(f"3 topics of {numbers[Topics.of(settings).requests]} partitions, made as the settings say")


def _replication(name: str, topic: TopicState, settings: KafkaSettings) -> Iterator[Finding]:
    least = int(topic.configs["min.insync.replicas"])
    if topic.leaderless:
        yield failed(
            f"{name}: {topic.leaderless} partitions have no leader",
            "start the brokers again",
            ExitCode.UNAVAILABLE,
        )
    elif least > topic.replicas:
        yield failed(
            f"{name}: min.insync.replicas is {least}, but it has {topic.replicas} replicas: it takes no record",
            _alter(name, "min.insync.replicas", max(1, topic.replicas - 1)),
        )
    elif topic.in_sync < least:
        yield failed(
            f"{name}: {topic.in_sync} replicas in sync, min.insync.replicas is {least}: it takes no record",
            "start the brokers that are down",
            ExitCode.UNAVAILABLE,
        )
    elif topic.in_sync < topic.replicas:
        yield warning(
            f"{name}: {topic.in_sync} of {topic.replicas} replicas are in sync", "start the brokers that are down"
        )
    elif topic.replicas > 1 and least == 1:
        yield warning(
            f"{name}: min.insync.replicas is 1, so an acknowledged record may be on one broker only",
            _alter(name, "min.insync.replicas", topic.replicas - 1)
            if topic.replicas > 2
            else "give it a third replica with kafka-reassign-partitions.sh, then set min.insync.replicas to 2",
        )
    if topic.replicas < settings.replication_factor:
        yield warning(
            f"{name} has {topic.replicas} replicas, kafka.replication_factor is {settings.replication_factor}",
            "move it with kafka-reassign-partitions.sh, or set kafka.replication_factor to what it is",
        )


def _configs(name: str, topic: TopicState, wanted: dict[str, str]) -> Iterator[Finding]:
    size, limit = int(topic.configs["max.message.bytes"]), int(wanted["max.message.bytes"])
    if size < limit:
        yield failed(
            f"{name}: max.message.bytes is {size}, so large records are refused; it should be {limit}",
            _alter(name, "max.message.bytes", limit),
        )
    if "compact" in topic.configs["cleanup.policy"]:
        yield failed(
            f"{name}: cleanup.policy {topic.configs['cleanup.policy']} removes records before they are read",
            _alter(name, "cleanup.policy", "delete"),
        )
    kept, asked = int(topic.configs["retention.ms"]), int(wanted["retention.ms"])
    if kept != asked:
        hours = "for ever" if kept < 0 else f"{kept / 3_600_000:g} hours"
        yield warning(
            f"{name} keeps records {hours}, kafka.retention_hours is {asked // 3_600_000}",
            f"{_alter(name, 'retention.ms', asked)}, or change the setting",
        )
    if int(topic.configs["retention.bytes"]) >= 0:
        yield warning(
            f"{name}: retention.bytes {topic.configs['retention.bytes']} may remove records before they are read",
            _alter(name, "retention.bytes", -1),
        )
    stamped, clock = topic.configs["message.timestamp.type"], wanted["message.timestamp.type"]
    if stamped != clock:
        yield warning(
            f"{name}: message.timestamp.type is {stamped}, so records of a clock that is far ahead are refused",
            _alter(name, "message.timestamp.type", clock),
        )


def _alter(topic: str, name: str, value: object) -> str:
    return _ALTER.format(topic=topic, name=name, value=value)


async def group_check(settings: KafkaSettings) -> list[Finding]:
    """There are workers, and nothing waits that nobody reads."""
    group = await read_group(settings)
    async with LagReader(settings) as reader:
        offsets = await reader.read()
    found: list[Finding] = []
    lost = sum(max(0, offsets.begin[one] - committed) for one, committed in offsets.committed.items())
    if lost:
        found.append(
            failed(
                f"retention removed {lost:,} requests before a worker read them",
                "publish them again if you can; set kafka.retention_hours above the longest outage",
                ExitCode.FAILED,
            )
        )
    detail = f"group {settings.group}: {group.members} workers, {offsets.total:,} records wait"
    start = "start one with 'agentmem worker', or set kafka.group to theirs"
    if not group.members and offsets.total:
        found.append(failed(detail, start, ExitCode.UNAVAILABLE))
    elif not group.members:
        found.append(warning(detail, start))
    elif group.state != "Stable":
        found.append(warning(f"{detail}; it is in the state {group.state}", "look again in a minute"))
    return found or ok(detail)


async def dead_letters_check(settings: KafkaSettings) -> list[Finding]:
    """Nothing was set aside."""
    topic = Topics.of(settings).dead_letters
    state = (await read_topics(settings))[topic]
    if not (count := await count_records(settings, topic, state.partitions)):
        return ok(f"{topic} is empty")
    return [
        warning(
            f"{count:,} records were set aside in {topic}",
            "'agentmem dlq list' shows which of them nobody dealt with, and why; docs/dead-letters.md what to do",
        )
    ]
