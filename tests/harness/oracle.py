"""The oracle: what a system must look like once it has done all that lies in its request topic.

The request topic must hold every record that Kafka acknowledged. All else that is expected follows from the
topic: a naive model applies its records one by one, leaving out those that carry the poison header.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.onnx import Embedder
from schemas.requests import MemoryRequest
from streams.records import Record
from tests.harness import oracle_events, oracle_rows
from tests.harness.findings import Findings
from tests.harness.kafka import lag
from tests.harness.observed import observe
from tests.harness.oracle_index import check_index
from tests.harness.oracle_search import check_searches, crowded
from tests.harness.system import System
from tests.harness.workload import POISON_HEADER
from tests.unit.naive import NaiveModel


@dataclass(frozen=True)
class Summary:
    """How much there was, for a table."""

    requests: int
    dead_letters: int
    #: How many dead letters are of a record that has one already.
    repeated_dead_letters: int
    rows: int
    live: int
    events: int
    repeated_events: int
    #: How often requests were announced beyond the times that they were published.
    seen_again: int


async def assert_consistent(system: System, embedder: Embedder) -> Summary:
    """Fail unless stores, events and dead letters are exactly what the request topic asks for."""
    summary, findings = await examine(system, embedder)
    findings.assert_none()
    return summary


async def examine(
    system: System, embedder: Embedder, *, in_log_order: bool = True, steady_clock: bool = True, seed: int = 0
) -> tuple[Summary, Findings]:
    """How much there is, and what is wrong with it.

    ``in_log_order`` says that log order tells what must come out. Where requests of several partitions touch the
    same memories it does not, and only what the stores say of each other is compared. Without a ``steady_clock``
    of Postgres the times in a history may go back, though its versions never do. ``seed`` says for which memories
    a search is tried.
    """
    assert await lag(system) == 0, "the group has not committed everything"
    seen = await observe(system)
    findings = Findings()
    missing = system.acknowledged.missing(seen.requests)
    findings.lost += [f"record {place} was acknowledged, and is not in the topic" for place in missing]
    model, poison = _model(seen.requests)
    if in_log_order:
        oracle_rows.check_rows(seen, model, findings)
        oracle_rows.check_outcomes(seen, model, poison, findings)
    oracle_rows.check_history(seen, model if in_log_order else None, findings, steady_clock)
    findings.same_keys(
        "the outcome of request", seen.outcomes, [*model.outcomes, *dict(oracle_rows.answered(poison))]
    )
    oracle_events.check_events(seen, findings)
    oracle_events.check_dead_letters(seen, poison, findings)
    await check_index(system, seen, embedder, findings)
    if not crowded(seen.rows.values()):
        await check_searches(system.weaviate, seen.points.values(), seed, findings)
    set_aside = len({letter.source for letter in seen.dead_letters})
    summary = Summary(
        requests=len(seen.requests),
        dead_letters=set_aside,
        repeated_dead_letters=len(seen.dead_letters) - set_aside,
        rows=len(seen.rows),
        live=len(seen.points),
        events=len(seen.events),
        repeated_events=len(seen.events) - len({record.header("ce_id") for record in seen.events}),
        seen_again=oracle_events.seen_again(seen),
    )
    return summary, findings


def _model(records: list[Record]) -> tuple[NaiveModel, dict[tuple[int, int], Record]]:
    model = NaiveModel()
    poison = {}
    for record in records:
        if record.header(POISON_HEADER) is None:
            assert record.value is not None
            model.apply(MemoryRequest.model_validate_json(record.value))
        else:
            poison[record.partition, record.offset] = record
    return model, poison
