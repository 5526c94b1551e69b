"""One case of the fault matrix: its seed and scale, and what it showed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from infra.onnx import Embedder
from tests.harness.findings import Findings
from tests.harness.kafka import Offsets, caught_up, offsets
from tests.harness.oracle import Summary, examine
from tests.harness.system import System
from tests.harness.waiting import eventually
from tests.harness.workers import WorkerProcess
from tests.harness.workload import Workload, seed


class Case:
    """``full`` says whether it runs at full scale; ``counts`` is its line in the table."""

    def __init__(self, embedder: Embedder, *, full: bool) -> None:
        self.full = full
        self.seed = seed()
        self.random = Random(self.seed)
        self.embedder = embedder
        self.counts: dict[str, Any] = {"seed": self.seed}

    def scaled(self, full: int, small: int) -> int:
        """One of the two, by the scale at which the case runs."""
        return full if self.full else small

    def work(self, **options: Any) -> Workload:
        """Requests at random; each brings its vector, but for what ``embedded`` says."""
        return Workload(self.random, self.embedder.identity.dimension, **options)

    async def recovers(self, system: System, within_s: float = 120) -> None:
        """Called when a fault has ended: wait until every partition with work moves again, and note how long."""
        before: Offsets | None = None

        async def moved() -> bool:
            nonlocal before
            now = await offsets(system)
            before = before or now
            return all(
                now.committed[partition] > before.committed[partition] or now.lag(partition) == 0
                for partition in before.ends
                if before.lag(partition)
            )

        with self.recovering():
            await eventually(moved, within_s, "all partitions move again", system.logs)

    @contextmanager
    def recovering(self) -> Iterator[None]:
        """From the end of a fault to the moment when what it hit works again: note how long it took at most."""
        began = time.monotonic()
        yield
        self.counts["recovery_s"] = max(time.monotonic() - began, self.counts.get("recovery_s", 0.0))

    async def becomes_consistent(self, system: System, within_s: float) -> None:
        """For what is mended later, within a bound: wait for it, and note how much was stale, and for how long."""
        await caught_up(system, 300)
        began = time.monotonic()
        stale: list[list[str]] = []

        async def consistent() -> bool:
            _, findings = await examine(system, self.embedder, seed=self.seed)
            stale.append(findings.stale)
            self.counts["stale_at_first"] = len(stale[0])
            return not findings.stale

        await eventually(consistent, within_s, "the index is mended", lambda: "\n".join(stale[-1]))
        if stale[0]:
            self.counts["mended_s"] = time.monotonic() - began

    async def judge(self, system: System, within_s: float = 300, **options: bool) -> Summary:
        """Wait until all is done, count what is wrong, and fail unless that is nothing.

        ``options`` are those of ``examine``.
        """
        await caught_up(system, within_s)
        summary, findings = await examine(system, self.embedder, seed=self.seed, **options)
        self.note(summary, findings)
        findings.assert_none()
        return summary

    def note(self, summary: Summary, findings: Findings) -> None:
        """Write it into the table."""
        self.counts |= {
            "requests": summary.requests,
            "lost": len(findings.lost),
            "duplicated": len(findings.duplicated),
            "stale": len(findings.stale),
            "dead_lettered": summary.dead_letters,
            "dead_lettered_again": summary.repeated_dead_letters,
            "seen_again": summary.seen_again,
        }


async def stop_cleanly(*workers: WorkerProcess) -> None:
    """Each of them still runs, and ends with code 0 in time when it is told to stop."""
    assert [worker.code for worker in workers] == [None] * len(workers), [worker.tail() for worker in workers]
    codes = await asyncio.gather(*(worker.stop() for worker in workers))
    assert codes == [0] * len(workers), [worker.tail() for worker in workers]
