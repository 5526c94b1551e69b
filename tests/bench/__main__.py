"""``python -m tests.bench``: the pipeline's throughput beside that of the embedder alone."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.bench.results import RESULTS, write_results
from tests.bench.throughput import Bench, Round, summary
from tests.stack import stores

VARIANTS = ("fp32", "int8")
_TEXTS, _ROUNDS = 4096, 3
_QUICK_TEXTS, _QUICK_ROUNDS = 1536, 1


@click.command(help=__doc__)
@click.option("--texts", type=click.IntRange(min=1024), help=f"Turns in a round; {_TEXTS} by default.")
@click.option("--rounds", type=click.IntRange(min=1), help=f"Rounds for each variant; {_ROUNDS} by default.")
@click.option("--quick", is_flag=True, help=f"{_QUICK_ROUNDS} round of {_QUICK_TEXTS} turns: a rough number soon.")
@click.option("--variant", "variants", multiple=True, type=click.Choice(VARIANTS), help="Only this variant.")
@click.option("--seed", default=1, show_default=True, help="For other turns.")
def main(texts: int | None, rounds: int | None, quick: bool, variants: tuple[str, ...], seed: int) -> None:
    texts = texts or (_QUICK_TEXTS if quick else _TEXTS)
    rounds = rounds or (_QUICK_ROUNDS if quick else _ROUNDS)
    # A topic that was just made has no leader for a moment: the producer tells, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    with stores() as addresses:
        results = asyncio.run(_measure(addresses, variants or VARIANTS, texts, rounds, seed))
    write_results(results)
    _show(results)


async def _measure(
    addresses: Mapping[str, str], variants: tuple[str, ...], texts: int, rounds: int, seed: int
) -> dict[str, Any]:
    measured: dict[str, list[Round]] = {variant: [] for variant in variants}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for number in range(1, rounds + 1):
            for variant in variants:
                bench = Bench(addresses, variant, texts, seed)
                bar = progress.add_task(f"{variant}, round {number} of {rounds}", total=bench.steps)
                measured[variant].append(await bench.round(partial(progress.advance, bar)))
    extra = {"texts": texts, "rounds": rounds, "cores": len(os.sched_getaffinity(0))}
    return {variant: {**summary(each), **extra} for variant, each in measured.items()}


def _show(results: Mapping[str, Mapping[str, Any]]) -> None:
    any_result = next(iter(results.values()))
    table = Table(
        title=f"{any_result['texts']} turns, median round of {any_result['rounds']}, {any_result['cores']} cores",
        caption="embed: the embedder alone. pipeline: from the topic to committed offsets.",
    )
    table.add_column("variant")
    for heading in ("embed, texts/s", "pipeline, memories/s", "ratio", "ratio of each round"):
        table.add_column(heading, justify="right")
    for variant, result in results.items():
        ratios = ", ".join(f"{ratio:.2f}" for ratio in result["ratios"])
        table.add_row(
            variant,
            f"{result['embed_per_s']:,.0f}",
            f"{result['pipeline_per_s']:,.0f}",
            f"{result['ratio']:.2f}",
            ratios,
        )
    console = Console()
    console.print(table)
    console.print(f"Written to {RESULTS}.")


if __name__ == "__main__":
    main()
