"""All checks, in the order in which they are shown."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agentmem.doctor import configured, index, kafka, machine, postgres, services
from agentmem.doctor.findings import Check
from agentmem.doctor.model import Model
from agentmem.settings import Settings
from agentmem.settings_sources import Layer


def all_checks(settings: Settings, given: Layer, config: Path | None) -> list[Check]:
    """The checks of one system; ``given`` says where its settings came from."""
    model = Model(settings.embedding)
    expected = ("url",) in given or settings.api_key is not None
    start_kafka = "start Kafka, or set kafka.bootstrap_servers"
    start_postgres = "start Postgres, or set postgres.dsn"
    start_weaviate = "start Weaviate, or set weaviate.url and weaviate.grpc"
    return [
        Check("settings", partial(configured.settings_check, settings, given, config)),
        Check("packages", machine.packages_check),
        Check("disk", partial(machine.disk_check, settings)),
        Check("kafka", partial(kafka.brokers_check, settings.kafka), start_kafka),
        Check("topics", partial(kafka.topics_check, settings.kafka), start_kafka, ("kafka",)),
        Check("group", partial(kafka.group_check, settings.kafka), start_kafka, ("kafka", "topics")),
        Check("dead letters", partial(kafka.dead_letters_check, settings.kafka), start_kafka, ("kafka", "topics")),
        Check("postgres", partial(postgres.server_check, settings.postgres), start_postgres),
        Check("clock", partial(postgres.clock_check, settings.postgres), start_postgres, ("postgres",)),
        Check("schema", partial(postgres.schema_check, settings.postgres), start_postgres, ("postgres",)),
        Check("rights", partial(postgres.rights_check, settings.postgres), start_postgres, ("postgres", "schema")),
        Check("model", model.check, "let its download end"),
        Check("weaviate", partial(index.weaviate_check, settings.weaviate), start_weaviate),
        Check(
            "index",
            partial(index.index_check, settings.weaviate, settings.postgres, model.identity),
            start_weaviate,
            ("weaviate",),
        ),
        Check("gateway", partial(services.gateway_check, settings, expected=expected), "look into its log"),
        Check("worker", partial(services.worker_check, settings.worker), "look into its log"),
    ]
