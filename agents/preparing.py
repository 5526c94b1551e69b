"""The first half of the pipeline: decode and embed. It touches no store, so it runs ahead of the second half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry.trace import Span

from agents.isolation import Isolation
from agents.items import Item, Rejected
from agents.stages.decode import TooMuchError, decode
from agents.stages.embed import EmbedStage, Vectors
from infra.telemetry import tracing
from infra.telemetry.metrics import BATCH_RECORDS, STAGE_SECONDS, UNKEYED
from schemas.problems import RecordRejectedError
from schemas.requests import MemoryRequest
from streams.records import Batch, Record


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch that was decoded and embedded: what is to be stored, and what is to be set aside."""

    batch: Batch
    items: Sequence[Item]
    rejected: Sequence[Rejected]
    vectors: Vectors

    def end_spans(self) -> None:
        """Its records are done with, one way or the other."""
        for span in (*(one.span for one in self.items), *(one.span for one in self.rejected)):
            if span is not None:
                span.end()


class Preparing:
    """decode, embed."""

    def __init__(self, embedding: EmbedStage, max_record_bytes: int) -> None:
        self._embedding = embedding
        self._max_record_bytes = max_record_bytes
        self._isolation = Isolation("embed")

    async def prepare(self, batch: Batch) -> Prepared:
        """Decode and embed a batch."""
        BATCH_RECORDS.observe(len(batch.records))
        rejected: list[Rejected] = []
        items: list[Item] = []
        with STAGE_SECONDS.labels("decode").time():
            for record in batch.records:
                self._decode(record, items, rejected)
        vectors: Vectors = {}

        async def embed(part: Sequence[Item]) -> None:
            vectors.update(await self._embedding.embed_items(part))

        with STAGE_SECONDS.labels("embed").time(), tracing.stage("embed", [item.span for item in items]):
            failed = await self._isolation.run(items, embed)
        faulty = {id(item) for item, _ in failed}
        rejected += [item.rejected(error, "embed") for item, error in failed]
        return Prepared(batch, [item for item in items if id(item) not in faulty], rejected, vectors)

    def _decode(self, record: Record, items: list[Item], rejected: list[Rejected]) -> None:
        span = _span(record)
        try:
            with tracing.stage("decode", [span]):
                request = decode(record, self._max_record_bytes)
        except TooMuchError as error:
            rejected.append(_item(record, error.request, span).rejected(error, "decode"))
            return
        except RecordRejectedError as error:
            rejected.append(Rejected(record, error, "decode", span=span))
            return
        item = _item(record, request, span)
        try:
            self._embedding.check(item)
        except RecordRejectedError as error:
            rejected.append(item.rejected(error, "embed"))
            return
        items.append(item)
        # An update or delete may leave the scope out; then its right key is not known here.
        if request.scope.ids and record.key != request.scope.key.encode():
            UNKEYED.inc()


def _item(record: Record, request: MemoryRequest, span: Span | None) -> Item:
    if span is not None:
        ids = {"project": request.project, "request_id": request.request_id, "op": request.op}
        span.set_attributes({f"agentmem.{name}": value for name, value in ids.items()})
    return Item(record, request, span)


def _span(record: Record) -> Span | None:
    """The record's part of its producer's trace: from here until its events are sent."""
    traceparent = record.header("traceparent")
    if traceparent is None:
        return None
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
    }
    return tracing.begin(f"process {record.topic}", traceparent, attributes)
