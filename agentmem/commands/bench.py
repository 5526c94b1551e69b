"""``agentmem bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentmem.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from agentmem.benchmarks.embedding import Measured, Refused


@click.group()
def bench() -> None:
    """Measure AgentMem on this machine."""


@bench.command()
@click.option(
    "--texts",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Texts of your own, one a line. By default they are made up like the turns of a conversation.",
)
@click.option("--count", type=click.IntRange(1, 100_000), default=512, show_default=True, help="Texts at most.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Runs of each.")
@click.option("--seed", type=int, default=1, show_default=True, help="Other texts for another seed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@pass_invocation
def embed(invocation: Invocation, /, file: Path | None, count: int, rounds: int, seed: int, as_json: bool) -> None:
    """Compare the installed providers and variants of the embedder: speed, closeness to fp32, start, memory.

    They run in turn, each in a process of its own; a figure is the median of its runs. Whatever may not serve
    here is named with the reason. Takes a minute or two.

    \b
    Examples:
      agentmem bench embed
      agentmem bench embed --texts notes.txt --json
      agentmem --set embedding.threads=1 bench embed --count 100
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from agentmem.benchmarks.embedding import candidates, measure
    from agentmem.benchmarks.texts import lines, made_up
    from agentmem.output import show_json

    texts = lines(file, count) if file else made_up(count, seed)
    if not texts:
        raise click.UsageError(f"{file} has no texts")
    settings = invocation.settings().embedding
    compared = list(candidates(settings))
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Embedding {len(texts)} texts", total=(rounds + 2) * len(compared))
        results = measure(compared, texts, rounds, lambda: progress.advance(task))
    if as_json:
        show_json({"model": settings.model, "texts": len(texts), "rounds": rounds, "results": _documents(results)})
    else:
        _show(results)


def _documents(results: list[Measured | Refused]) -> list[dict[str, object]]:
    from dataclasses import asdict

    from agentmem.benchmarks.embedding import Refused

    return [{**asdict(result), "check": "refused" if isinstance(result, Refused) else "ok"} for result in results]


def _show(results: list[Measured | Refused]) -> None:
    from agentmem.benchmarks.embedding import Refused
    from agentmem.output import note, show_table

    columns = (
        "provider",
        "variant",
        "texts/s",
        "CPU ms/text",
        "cosine mean",
        "least",
        "check",
        "start s",
        "peak MB",
    )
    rows: list[tuple[object, ...]] = []
    for result in results:
        if isinstance(result, Refused):
            rows.append((result.provider, result.variant, None, None, None, None, "refused", None, None))
            note(result.reason)
            continue
        speed = f"{result.texts_per_s:.0f}", f"{result.cpu_ms:.2f}"
        cosines = f"{result.cosine_mean:.5f}", f"{result.cosine_least:.5f}"
        rows.append(
            (
                result.provider,
                result.variant,
                *speed,
                *cosines,
                "ok",
                f"{result.load_s:.1f}",
                f"{result.peak_mb:.0f}",
            )
        )
    show_table(columns, rows)
