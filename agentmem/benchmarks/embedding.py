"""Measures every provider and variant of the embedder that is installed here, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from agentmem.benchmarks.embedder_process import EmbedderProcess, Run
from infra.onnx.providers import is_installed
from infra.onnx.settings import VARIANTS, EmbeddingSettings
from schemas.problems import MisconfiguredError

if TYPE_CHECKING:
    from infra.onnx.pooling import Floats


@dataclass(frozen=True, slots=True)
class Measured:
    """What one provider and variant did. ``cosine_*`` are to fp32 on the CPU, over the texts measured.

    ``cpu_ms`` is processor time for a text, over all cores: it hardly depends on what else runs here.
    """

    provider: str
    variant: str
    texts_per_s: float
    cpu_ms: float
    cosine_mean: float
    cosine_least: float
    load_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A provider and variant that may not or cannot serve here."""

    provider: str
    variant: str
    reason: str


def candidates(settings: EmbeddingSettings) -> Iterator[EmbeddingSettings]:
    """The settings with each provider and variant in turn; cpu with fp32 is the first."""
    for provider, variants in VARIANTS.items():
        if is_installed(provider):
            for variant in variants:
                yield settings.model_copy(update={"provider": provider, "variant": variant})


def measure(
    candidates: Sequence[EmbeddingSettings], texts: list[str], rounds: int, step: Callable[[], None]
) -> list[Measured | Refused]:
    """Run all candidates in turn, ``rounds`` times, after a first time that does not count.

    The first candidate gives the vectors that others are compared with; if it does not load,
    ``MisconfiguredError``. Calls ``step`` after each start and each run: (rounds + 2) times the candidates.
    """
    refused: dict[int, Refused] = {}
    runs: dict[int, list[Run]] = {}
    with ExitStack() as stack:
        running: dict[int, EmbedderProcess] = {}
        for index, candidate in enumerate(candidates):
            try:
                # Once for what is made on the first start and then kept, once to measure the start.
                with EmbedderProcess(candidate):
                    pass
                running[index] = stack.enter_context(EmbedderProcess(candidate))
            except MisconfiguredError as error:
                if index == 0:
                    raise
                refused[index] = Refused(candidate.provider, candidate.variant, str(error))
            step()
        for index, process in running.items():
            runs[index] = [process.run(texts)]
            step()
        for _ in range(rounds):
            for index, process in running.items():
                runs[index].append(process.run(texts))
                step()
        load_s = {index: process.load_s for index, process in running.items()}
    reference = runs[0][0].vectors
    return [
        refused[index]
        if index in refused
        else _measured(candidate, runs[index][1:], reference, load_s[index], len(texts))
        for index, candidate in enumerate(candidates)
    ]


def _measured(
    candidate: EmbeddingSettings, runs: Sequence[Run], reference: Floats, load_s: float, count: int
) -> Measured:
    cosines = (runs[-1].vectors * reference).sum(axis=1)
    return Measured(
        provider=candidate.provider,
        variant=candidate.variant,
        texts_per_s=count / median(run.wall_s for run in runs),
        cpu_ms=1000 * median(run.cpu_s for run in runs) / count,
        cosine_mean=float(cosines.mean()),
        cosine_least=float(cosines.min()),
        load_s=load_s,
        peak_mb=runs[-1].peak_mb,
    )
