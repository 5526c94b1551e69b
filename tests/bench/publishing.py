"""Filling the request topic."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.requests import MemoryRequest
from streams.producer import Producer, acknowledged
from streams.topics import Topics
from tests.bench.place import Place


async def publish(place: Place, requests: Iterable[MemoryRequest]) -> None:
    """Publish the requests and return when Kafka has them all."""
    topic = Topics.of(place.settings.kafka).requests
    async with Producer(place.settings.kafka) as producer:
        await acknowledged(
            [
                await producer.send(
                    topic,
                    key=request.scope.key.encode(),
                    value=request.model_dump_json(exclude_defaults=True).encode(),
                )
                for request in requests
            ]
        )
