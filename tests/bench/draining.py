"""A worker on a full topic: how fast it empties it, and what it needs for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.place import Place
from tests.bench.worker import Sample, worker

#: Is told how much was done since it was last told.
Report = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Drain:
    """``per_s`` records were done; the worker took ``start_s`` to be ready and at most ``rss_mb`` of memory."""

    per_s: float
    rss_mb: float
    start_s: float
    stage_seconds: Mapping[str, float]


async def drained(here: Place, total: int, report: Report) -> Drain:
    """Start a worker on the full topic; its records/s between its first commit and its last.

    What it takes to start, join the group and do the first batch is not counted, nor is that batch. At the
    first commit the next batches are under way already; for that, at the last one the embedder is idle.
    """
    first: Sample | None = None
    last = Sample(time.monotonic(), 0)
    async with worker(here) as running:
        async for sample in running.samples():
            if sample.committed > last.committed:
                report(sample.committed - last.committed)
                first, last = first or sample, sample
            if last.committed >= total:
                break
        rss_mb, start_s = running.process.peak_mb(), await running.process.starting
        stage_seconds = await running.stage_seconds()
    assert first is not None
    return Drain((last.committed - first.committed) / (last.at - first.at), rss_mb, start_s, stage_seconds)
