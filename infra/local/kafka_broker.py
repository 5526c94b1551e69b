"""Kafka: one node in KRaft mode, broker and controller, on loopback."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.local import tools, versions
from infra.local.cache import PartCache
from infra.local.files import is_there
from infra.local.ports import accepts
from infra.local.service import Service

_SOURCE: Final = Path(__file__).parent / "kafka"
_BUILD_MIB: Final = 300
#: Holds the largest record of any topic, with room for its headers.
_MESSAGE_MAX_BYTES: Final = 5 * 1024 * 1024 + 64 * 1024

#: The command line tools, by the names that Kafka's own distribution gives them.
_TOOLS: Final = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}


async def fetch(cache: PartCache) -> Path:
    """The directory with Kafka: ``libs/`` and the tools in ``bin/``."""
    recipe = hashlib.sha256((_SOURCE / "pom.xml").read_bytes() + versions.LOG4J.encode()).hexdigest()[:8]
    name = f"kafka-{versions.KAFKA}-{recipe}"
    log = cache.log_path(name)

    async def download(target: Path) -> None:
        # A copy, as Maven writes beside its pom.
        shutil.copy(_SOURCE / "pom.xml", target)
        await tools.run_tool(
            (
                tools.maven(),
                "--batch-mode",
                "--no-transfer-progress",
                "--strict-checksums",
                f"-Dkafka.version={versions.KAFKA}",
                f"-Dscala.version={versions.SCALA}",
                f"-Dlog4j.version={versions.LOG4J}",
                f"org.apache.maven.plugins:maven-dependency-plugin:{versions.MAVEN_DEPENDENCY_PLUGIN}:copy-dependencies",
                "-DincludeScope=runtime",
                f"-DoutputDirectory={target / 'libs'}",
            ),
            purpose="downloading Kafka with Maven",
            log=log,
            cwd=target,
        )
        shutil.copy(_SOURCE / "log4j2.yaml", target)
        for script, main in _TOOLS.items():
            path = target / "bin" / script
            path.parent.mkdir(exist_ok=True)
            path.write_text(
                "#!/bin/sh\n"
                'home=$(cd "$(dirname "$0")/.." && pwd)\n'
                'exec java -Xmx256m -Dlog4j2.configurationFile="$home/log4j2.yaml" '
                f'-cp "$home/libs/*" {main} "$@"\n'
            )
            path.chmod(0o755)

    return await cache.part(name, f"Downloading Kafka {versions.KAFKA}", _BUILD_MIB, download)


async def service(home: Path, data: Path, ports: Mapping[str, int]) -> Service:
    """The broker over the data directory ``data``, which is formatted at the first start."""
    java = await tools.java()
    config = data.with_suffix(".properties")
    config.write_text(_properties(data, ports))
    command = (java, f"-Dlog4j2.configurationFile={home / 'log4j2.yaml'}", "-cp", f"{home / 'libs'}/*")
    if not is_there(data):
        partial = data.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        forming = data.with_suffix(".format.properties")
        forming.write_text(_properties(partial, ports))
        await tools.run_tool(
            # There is one node, so any cluster id will do.
            (*command, "kafka.tools.StorageTool", "format", "-t", "AgentMemLocalStackAAAA", "-c", str(forming)),
            purpose="formatting Kafka's data directory",
            log=data.with_suffix(".format.log"),
        )
        partial.rename(data)
    bootstrap = f"127.0.0.1:{ports['kafka_port']}"

    async def ready() -> bool:
        if not await accepts(ports["kafka_port"]):
            return False
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000)
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
        except KafkaError:
            return False
        finally:
            await admin.close()

    # It shares few cores with the rest and seldom lives long: what the optimising compiler and the concurrent
    # collector would win later costs more than the broker's own work at first.
    jvm = ("-Xms256m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    argv = (command[0], *jvm, *command[1:], "kafka.Kafka", str(config))
    return Service(name="kafka", argv=argv, ready=ready)


def _properties(data: Path, ports: Mapping[str, int]) -> str:
    broker, controller = f"127.0.0.1:{ports['kafka_port']}", f"127.0.0.1:{ports['kafka_controller']}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 5,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 5,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # A lone worker need not wait for others to join its group.
        "group.initial.rebalance.delay.ms": 0,
        "message.max.bytes": _MESSAGE_MAX_BYTES,
        "replica.fetch.max.bytes": _MESSAGE_MAX_BYTES,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
