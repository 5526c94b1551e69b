"""``python -m tests.bench.recall``: how much of what a question needs a search finds, on real conversations."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.bench.place import Place, place
from tests.bench.publishing import publish
from tests.bench.recall.dataset import Dataset, read_dataset
from tests.bench.recall.finding import TOP, compared, opened, recall, searched
from tests.bench.results import RESULTS, write_results
from tests.bench.stored import stored
from tests.bench.worker import worker
from tests.stack import stores

DATA: Final = Path("../shared/data/locomo-dev.json.gz")
#: How far the search may be behind brute force over the same vectors.
MARGIN: Final = 0.01
_MISSING_INPUT: Final = 2


@click.command(help=__doc__)
@click.option(
    "--data", type=click.Path(path_type=Path), default=DATA, show_default=True, help="The conversations."
)
@click.option("--variant", type=click.Choice(["fp32", "int8"]), default="fp32", show_default=True)
def main(data: Path, variant: str) -> None:
    if not data.exists():
        click.echo(
            f"{data} is not there: name a gzipped JSON file of the LoCoMo conversations and questions by --data.",
            err=True,
        )
        sys.exit(_MISSING_INPUT)
    # A topic that was just made has no leader for a moment: the producer tells, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    with stores() as addresses:
        result = asyncio.run(_measure(addresses, variant, read_dataset(data)))
    write_results({"recall": result})
    _show(result)
    if not (result["all_stored"] and result["within_margin"]):
        sys.exit(1)


async def _measure(addresses: Mapping[str, str], variant: str, dataset: Dataset) -> dict[str, Any]:
    memories = dataset.memories
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        async with place(addresses, variant) as here:
            bar = progress.add_task("sessions imported", total=len(dataset.requests))
            await _import(here, dataset, lambda done: progress.update(bar, completed=done))
            counts = await stored(here, [id for ids in memories.values() for id in ids])
            async with opened(here) as (embedder, database, index):
                bar = progress.add_task("questions searched", total=len(dataset.questions))
                found = await searched(
                    embedder, database, index, dataset.questions, partial(progress.advance, bar)
                )
                best = await compared(embedder, index, memories, dataset.questions)
    by_search, by_force = recall(dataset.questions, found), recall(dataset.questions, best)
    turns = sum(map(len, memories.values()))
    return {
        "variant": variant,
        "turns": turns,
        "questions": len(dataset.questions),
        **counts,
        f"recall_at_{TOP}": round(by_search, 4),
        f"exact_recall_at_{TOP}": round(by_force, 4),
        "all_stored": set(counts.values()) == {turns},
        "within_margin": abs(by_search - by_force) <= MARGIN,
    }


async def _import(here: Place, dataset: Dataset, report: Callable[[int], None]) -> None:
    await publish(here, dataset.requests)
    async with worker(here) as running:
        async for sample in running.samples():
            report(sample.committed)
            if sample.committed >= len(dataset.requests):
                return


def _show(result: Mapping[str, Any]) -> None:
    table = Table(title=f"{result['turns']:,} turns, {result['questions']:,} questions, {result['variant']}")
    table.add_column()
    table.add_column("", justify="right")
    table.add_row("in Postgres", f"{result['in_postgres']:,}")
    table.add_row("in Weaviate", f"{result['in_weaviate']:,}")
    table.add_row(f"recall@{TOP}", f"{result[f'recall_at_{TOP}']:.4f}")
    table.add_row(f"recall@{TOP}, exact, same vectors", f"{result[f'exact_recall_at_{TOP}']:.4f}")
    table.add_row(f"all stored; within {MARGIN}", f"{result['all_stored']}; {result['within_margin']}")
    console = Console()
    console.print(table)
    console.print(f"Written to {RESULTS}.")


if __name__ == "__main__":
    main()
