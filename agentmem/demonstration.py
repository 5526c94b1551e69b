"""The demonstration: a conversation goes in through Kafka, its events come out, and searches find it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agentmem.client import GatewayClient
from agentmem.exit_codes import CommandError
from agentmem.samples import Question, Sample, load_sample
from agentmem.settings import Settings
from schemas.events import EventBody, EventType
from schemas.requests import DEFAULT_PROJECT
from schemas.scope import Scope
from streams.consumers import make_consumer
from streams.security import client_options
from streams.settings import CLIENT_MAX_BYTES
from streams.topics import Topics

_EVENTS_WITHIN_S: Final = 60.0
_TOP_K: Final = 3

Say = Callable[[str], None]


async def demonstrate(settings: Settings, say: Say) -> Scope:
    """Publish the sample conversation, follow its events, search it; returns the scope that it has.

    ``settings`` name a running stack. Each call is a run of its own, so it works again and again. Raises
    :class:`CommandError` when an event does not come or a search does not find what it should.
    """
    sample = load_sample()
    run_id = datetime.now(UTC).strftime("demo-%Y%m%d-%H%M%S-%f")
    scope = Scope(DEFAULT_PROJECT, user_id=sample.user_id, run_id=run_id)
    topics = Topics.of(settings.kafka)
    say(f"\nPublishing a conversation of {len(sample.messages)} messages to {topics.requests}. Its events:")
    consumer = make_consumer(settings.kafka, topics.events, max_partition_fetch_bytes=CLIENT_MAX_BYTES)
    try:
        await consumer.start()
        await _go_to_end(consumer)
        waiting = await _publish(settings, topics.requests, sample, scope)
        try:
            async with asyncio.timeout(_EVENTS_WITHIN_S):
                await _follow(consumer, waiting, say)
        except TimeoutError:
            raise CommandError(
                f"{len(waiting)} of {len(sample.messages)} requests have no event after {_EVENTS_WITHIN_S:.0f} s; "
                "the log of the worker says why (agentmem stack status names it)"
            ) from None
    finally:
        await consumer.stop()
    say("\nSearches, answered by the gateway:")
    async with GatewayClient(settings) as gateway:
        for question in sample.questions:
            await _ask(gateway, scope, question, say)
    return scope


async def _go_to_end(consumer: AIOKafkaConsumer) -> None:
    # Positions as numbers, now: one that is looked up at the first poll could lie behind our events.
    for partition, offset in (await consumer.end_offsets(consumer.assignment())).items():
        consumer.seek(partition, offset)


async def _publish(settings: Settings, topic: str, sample: Sample, scope: Scope) -> set[str]:
    """Send each message as a request of its own, as any Kafka client could; returns the request ids."""
    requests = [
        {
            "schema_version": 1,
            "request_id": f"{scope.run_id}-{number}",
            "op": "add",
            **scope.ids,
            "messages": [message],
            "metadata": {"source": "demonstration"},
        }
        for number, message in enumerate(sample.messages)
    ]
    async with AIOKafkaProducer(**client_options(settings.kafka), acks="all") as producer:
        for request in requests:
            await producer.send(topic, key=scope.key.encode(), value=orjson.dumps(request))
    return {str(request["request_id"]) for request in requests}


async def _follow(consumer: AIOKafkaConsumer, waiting: set[str], say: Say) -> None:
    """Print the events of these requests, and take each request out of the set when its memory is there."""
    while waiting:
        record = await consumer.getone()
        body = EventBody.model_validate_json(record.value)
        if body.request_id not in waiting:
            continue
        kind = dict(record.headers)["ce_type"].decode()
        if kind != EventType.ADDED or body.memory is None:
            raise CommandError(f"request {body.request_id} ended as {kind}: {body.reason} {body.detail or ''}")
        say(f"  {kind}  {body.memory.name}: {body.memory.text}")
        waiting.remove(body.request_id)


async def _ask(gateway: GatewayClient, scope: Scope, question: Question, say: Say) -> None:
    body = {"query": question.query, "filters": scope.ids, "top_k": _TOP_K}
    hits = (await gateway.call("POST", "/v3/memories/search/", body))["results"]
    say(f"  {question.query}")
    for hit in hits:
        say(f"    {hit['score']:.2f}  {hit['memory']}")
    if not any(question.answer in hit["memory"] for hit in hits):
        raise CommandError(f"the search {question.query!r} did not find the memory about {question.answer!r}")
