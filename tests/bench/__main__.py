"""``python -m tests.bench``: what AgentMem can do on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench import gateway, latency
from tests.bench.draining import Report
from tests.bench.plane import plane
from tests.bench.results import RESULTS, read_results, write_results
from tests.bench.table import table
from tests.bench.throughput import Bench, Round, summary
from tests.bench.variants import FAST, VARIANTS
from tests.stack import stores

MEASUREMENTS: Final = ("throughput", "plane", "latency", "gateway")
_TEXTS, _ROUNDS = 2048, 3
_QUICK_TEXTS, _QUICK_ROUNDS = 1536, 1
_PLANE_RECORDS: Final = 8192
_LOAD_S: Final = 20.0
#: What part of the throughput the latency is measured at.
_PART: Final = 0.25


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(MEASUREMENTS), help="Only this measurement.")
@click.option("--texts", type=click.IntRange(min=1024), help=f"Turns in a round; {_TEXTS} by default.")
@click.option("--rounds", type=click.IntRange(min=1), help=f"Rounds for each variant; {_ROUNDS} by default.")
@click.option("--quick", is_flag=True, help=f"{_QUICK_ROUNDS} round of {_QUICK_TEXTS} turns: a rough number soon.")
@click.option("--variant", "variants", multiple=True, type=click.Choice(VARIANTS), help="Only this throughput.")
@click.option("--seed", default=1, show_default=True, help="For other turns.")
def main(
    only: tuple[str, ...], texts: int | None, rounds: int | None, quick: bool, variants: tuple[str, ...], seed: int
) -> None:
    texts = texts or (_QUICK_TEXTS if quick else _TEXTS)
    rounds = rounds or (_QUICK_ROUNDS if quick else _ROUNDS)
    wanted = only or MEASUREMENTS
    measured = variants or VARIANTS
    if "latency" in wanted and not ("throughput" in wanted and FAST in measured) and FAST not in read_results():
        raise click.UsageError(
            f"The latency is measured at a part of the throughput of {FAST}: measure that first."
        )
    # A topic that was just made has no leader for a moment: the producer tells, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with stores() as addresses, Progress(*columns, console=Console(stderr=True)) as progress:
        bench = Benchmarks(addresses, progress, seed)
        results: dict[str, Any] = {}
        for name in wanted:
            match name:
                case "throughput":
                    found = uvloop.run(bench.throughput(measured, texts, rounds))
                case "plane":
                    found = uvloop.run(bench.plane())
                case "latency":
                    found = uvloop.run(bench.latency(read_results()[FAST]["pipeline_per_s"] * _PART))
                case _:
                    found = uvloop.run(bench.gateway())
            # At once: what was measured stays when a later one fails.
            write_results(found)
            results |= found
    console = Console()
    console.print(table(results))
    console.print(f"Written to {RESULTS}.")


class Benchmarks:
    """The measurements, each with its bar; each returns its sections of the results."""

    def __init__(self, addresses: Mapping[str, str], progress: Progress, seed: int) -> None:
        self._addresses = addresses
        self._progress = progress
        self._seed = seed

    async def throughput(self, variants: tuple[str, ...], texts: int, rounds: int) -> dict[str, Any]:
        measured: dict[str, list[Round]] = {variant: [] for variant in variants}
        for number in range(1, rounds + 1):
            for variant in variants:
                bench = Bench(self._addresses, variant, texts, self._seed)
                report = self._report(f"{variant}, round {number} of {rounds}", bench.steps)
                measured[variant].append(await bench.round(report))
        extra = {"texts": texts, "rounds": rounds, "cores": len(os.sched_getaffinity(0))}
        return {variant: {**summary(each), **extra} for variant, each in measured.items()}

    async def plane(self) -> dict[str, Any]:
        report = self._report("without embedding", _PLANE_RECORDS)
        return await plane(self._addresses, FAST, _PLANE_RECORDS, self._seed, report)

    async def latency(self, rate: float) -> dict[str, Any]:
        report = self._report("latency", latency.messages(rate, _LOAD_S))
        return await latency.latency(self._addresses, FAST, rate, _LOAD_S, self._seed, report)

    async def gateway(self) -> dict[str, Any]:
        report = self._report("gateway", gateway.steps(_LOAD_S))
        return await gateway.gateway(self._addresses, FAST, _LOAD_S, self._seed, report)

    def _report(self, description: str, total: int) -> Report:
        return partial(self._progress.advance, self._progress.add_task(description, total=total))


if __name__ == "__main__":
    main()
