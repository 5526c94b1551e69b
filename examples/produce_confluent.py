"""Publish one memory request with confluent-kafka."""

import json
import os
import sys
import uuid
from urllib.parse import quote

from confluent_kafka import KafkaError, Message, Producer

TOPIC = os.environ.get("AGENTMEM_KAFKA_TOPIC_PREFIX", "") + "memory-requests"


def scope_key(project: str, kind: str, entity: str) -> bytes:
    return f"{quote(project, safe='')}/{kind}:{quote(entity, safe='')}".encode()


def report(error: KafkaError | None, record: Message) -> None:
    if error is not None:
        sys.exit(f"not published: {error.str()}")
    print(f"{request['request_id']} is in partition {record.partition()} at offset {record.offset()}")


request = {
    "request_id": str(uuid.uuid4()),  # keep it: sent again under the same id, the request is applied once
    "op": "add",
    "user_id": "alice",
    "text": "Alice works as a marine biologist.",
    "metadata": {"source": "profile"},
}
producer = Producer(
    {
        "bootstrap.servers": os.environ["AGENTMEM_KAFKA_BOOTSTRAP_SERVERS"],
        "acks": "all",
        "partitioner": "murmur2_random",  # the one that Java's and aiokafka's producers use
    }
)
producer.produce(
    TOPIC,
    key=scope_key("default", "user", "alice"),
    value=json.dumps(request).encode(),
    on_delivery=report,
)
producer.flush()
