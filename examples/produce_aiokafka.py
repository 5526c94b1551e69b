"""Publish one memory request with aiokafka."""

import asyncio
import json
import os
import uuid
from urllib.parse import quote

from aiokafka import AIOKafkaProducer

TOPIC = os.environ.get("AGENTMEM_KAFKA_TOPIC_PREFIX", "") + "memory-requests"


def scope_key(project: str, kind: str, entity: str) -> bytes:
    return f"{quote(project, safe='')}/{kind}:{quote(entity, safe='')}".encode()


async def main() -> None:
    request = {
        "request_id": str(uuid.uuid4()),  # keep it: sent again under the same id, the request is applied once
        "op": "add",
        "user_id": "alice",
        "messages": [
            {"role": "user", "name": "Alice", "content": "I moved to Lisbon in March."},
            {"role": "assistant", "content": "How do you like it there?"},
        ],
    }
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["AGENTMEM_KAFKA_BOOTSTRAP_SERVERS"],
        acks="all",
    )
    async with producer:
        key = scope_key("default", "user", "alice")
        record = await producer.send_and_wait(TOPIC, key=key, value=json.dumps(request).encode())
    print(f"{request['request_id']} is in partition {record.partition} at offset {record.offset}")


asyncio.run(main())
