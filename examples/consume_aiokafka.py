"""Follow memory-events with aiokafka, until Ctrl-C."""

import asyncio
import contextlib
import json
import os

from aiokafka import AIOKafkaConsumer

TOPIC = os.environ.get("AGENTMEM_KAFKA_TOPIC_PREFIX", "") + "memory-events"


async def main() -> None:
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=os.environ["AGENTMEM_KAFKA_BOOTSTRAP_SERVERS"],
        group_id="my-service",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=5 * 1024 * 1024,
    )
    async with consumer:
        async for record in consumer:
            headers = {name: value.decode() for name, value in record.headers}
            event = json.loads(record.value)
            about = event["memory"]["text"] if "memory" in event else event.get("reason", "")
            # Handle the event here. It may come again: remember headers["ce_id"], or let your write be idempotent.
            print(headers["ce_type"], record.key.decode(), event["request_id"], about, flush=True)
            await consumer.commit()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
