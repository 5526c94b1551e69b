"""One system under test: its own topics, group, database and collection in stores that others may share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.postgres import PostgresSettings
from infra.weaviate import WeaviateSettings
from streams.settings import KafkaSettings
from streams.topics import Topics
from tests.harness.acknowledged import Acknowledged
from tests.harness.workers import WorkerProcess

#: The shortest that Kafka's default configuration allows: what a killed worker held is free that much later.
SESSION_TIMEOUT_S = 6


@dataclass
class System:
    """Where everything is, and the workers that were started on it."""

    kafka: KafkaSettings
    postgres: PostgresSettings
    weaviate: WeaviateSettings
    model: Path
    folder: Path
    workers: list[WorkerProcess] = field(default_factory=list)
    #: All that was published by way of the harness.
    acknowledged: Acknowledged = field(default_factory=Acknowledged)

    @property
    def topics(self) -> Topics:
        return Topics.of(self.kafka)

    def environment(self) -> dict[str, str]:
        """The environment of a process of this system: nothing of ours but what is said here."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTMEM_")}
        key = self.weaviate.api_key
        return inherited | {
            "AGENTMEM_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "AGENTMEM_KAFKA_TOPIC_PREFIX": self.kafka.topic_prefix,
            "AGENTMEM_KAFKA_GROUP": self.kafka.group,
            "AGENTMEM_KAFKA_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "AGENTMEM_POSTGRES_DSN": self.postgres.dsn.get_secret_value(),
            "AGENTMEM_WEAVIATE_URL": self.weaviate.url,
            "AGENTMEM_WEAVIATE_GRPC": self.weaviate.grpc,
            "AGENTMEM_WEAVIATE_COLLECTION": self.weaviate.collection,
            **({"AGENTMEM_WEAVIATE_API_KEY": key.get_secret_value()} if key else {}),
            "AGENTMEM_EMBEDDING_MODEL": str(self.model),
            "AGENTMEM_EMBEDDING_THREADS": "1",
        }

    def start_worker(
        self, settings: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
    ) -> WorkerProcess:
        """Start ``agentmem worker``; ``settings`` are by their names, such as ``window.max_records``."""
        options = [part for name, value in (settings or {}).items() for part in ("--set", f"{name}={value}")]
        return self.start("worker", *options, "worker", environment=environment)

    def start(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> WorkerProcess:
        """Start the command ``agentmem``; its log is called ``name`` and a number."""
        argv = [sys.executable, "-m", "agentmem", *arguments]
        log = self.folder / f"{name}-{len(self.workers)}.log"
        process = WorkerProcess(argv, {**self.environment(), **(environment or {})}, log)
        self.workers.append(process)
        return process

    @contextmanager
    def closing(self) -> Iterator[System]:
        """Whatever happens, no worker is left behind."""
        try:
            yield self
        finally:
            for worker in self.workers:
                worker.kill()

    def logs(self) -> str:
        """The end of every worker's log, for a failure's message."""
        return "\n".join(f"--- {worker.log}\n{worker.tail()}" for worker in self.workers)
