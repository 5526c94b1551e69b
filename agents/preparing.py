"""The first half of the pipeline: decode and embed. It touches no store, so it runs ahead of the second half."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from opentelemetry.trace import Span

from agents.isolation import Isolation
from agents.items import Item, Rejected
from agents.stages.decode import decode
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

        with STAGE_SECONDS.labels("embed").time(), tracing.stage("embed", spans_of(items)):
            failed = await self._isolation.run(items, embed)
        faulty = {id(item) for item, _ in failed}
        rejected += [Rejected(item.record, error, "embed", item) for item, error in failed]
        return Prepared(batch, [item for item in items if id(item) not in faulty], rejected, vectors)

    def _decode(self, record: Record, items: list[Item], rejected: list[Rejected]) -> None:
        item = None
        stage = "decode"
        try:
            request = decode(record, self._max_record_bytes)
            stage = "embed"
            item = Item(record, request, _span(record, request))
            self._embedding.check(item)
        except RecordRejectedError as error:
            rejected.append(Rejected(record, error, stage, item))
            return
        items.append(item)
        # An update or delete may leave the scope out; then its right key is not known here.
        if request.scope.ids and record.key != request.scope.key.encode():
            UNKEYED.inc()


def spans_of(items: Iterable[Item]) -> Iterator[Span]:
    """The spans of those items that belong to a trace."""
    return (item.span for item in items if item.span is not None)


def _span(record: Record, request: MemoryRequest) -> Span | None:
    traceparent = record.header("traceparent")
    if traceparent is None:
        return None
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.destination.name": record.topic,
        "messaging.destination.partition.id": str(record.partition),
        "messaging.kafka.offset": record.offset,
        "agentmem.project": request.project,
        "agentmem.request_id": request.request_id,
        "agentmem.op": request.op,
    }
    return tracing.begin(f"process {record.topic}", traceparent, attributes)
