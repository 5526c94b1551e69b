"""How fast the embedder is alone, and how fast the whole pipeline is with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from infra.onnx import load_embedder
from schemas.identity import memory_id
from schemas.memories import embedding_text
from schemas.requests import DEFAULT_PROJECT
from tests.bench.draining import Drain, Report, drained
from tests.bench.place import place, settings_of
from tests.bench.publishing import publish
from tests.bench.requests import request_of
from tests.bench.stored import check_stored
from tests.bench.turns import Turn, turns


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement: the embedder alone in texts/s, and the pipeline."""

    embed_per_s: float
    pipeline: Drain

    @property
    def ratio(self) -> float:
        """The pipeline's share of the embedder's speed."""
        return self.pipeline.per_s / self.embed_per_s


class Bench:
    """Measures one variant of the model."""

    def __init__(self, stores: Mapping[str, str], variant: str, texts: int, seed: int) -> None:
        settings = settings_of({**stores, "AGENTMEM_EMBEDDING_VARIANT": variant})
        self._stores = stores
        self._variant = variant
        self._turns = list(islice(turns(seed), texts))
        self._batch = settings.window.max_records
        self._embedder = load_embedder(settings.embedding)
        self._embedder.embed(_texts(self._turns[: self._batch]))

    async def round(self, report: Report) -> Round:
        """Embed one half, run the pipeline on all, embed the other half: a drift of the machine cancels out.

        ``report`` is told how many texts were dealt with since the last time; it adds up to ``steps``.
        """
        middle = len(self._turns) // 2
        seconds = await self._embed(self._turns[:middle], report)
        async with place(self._stores, self._variant) as here:
            requests = list(map(request_of, range(len(self._turns)), self._turns))
            await publish(here, requests)
            pipeline = await drained(here, len(requests), report)
            await check_stored(here, [memory_id(DEFAULT_PROJECT, request.request_id, 0) for request in requests])
        seconds += await self._embed(self._turns[middle:], report)
        return Round(len(self._turns) / seconds, pipeline)

    @property
    def steps(self) -> int:
        """How many texts a round deals with: each is embedded alone and goes through the pipeline."""
        return 2 * len(self._turns)

    async def _embed(self, part: Sequence[Turn], report: Report) -> float:
        """The seconds that it takes to embed this, in batches as large as the window's."""
        texts = _texts(part)
        seconds = 0.0
        for start in range(0, len(texts), self._batch):
            batch = texts[start : start + self._batch]
            began = time.monotonic()
            await asyncio.to_thread(self._embedder.embed, batch)
            seconds += time.monotonic() - began
            report(len(batch))
        return seconds


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """The round with the median ratio, whose numbers belong together; of the ratios all, of the rest the worst."""
    middle = sorted(rounds, key=lambda one: one.ratio)[(len(rounds) - 1) // 2]
    return {
        "embed_per_s": round(middle.embed_per_s, 1),
        "pipeline_per_s": round(middle.pipeline.per_s, 1),
        "ratio": round(middle.ratio, 3),
        "ratios": [round(one.ratio, 3) for one in rounds],
        "rss_mb": round(max(one.pipeline.rss_mb for one in rounds)),
        "start_s": round(max(one.pipeline.start_s for one in rounds), 1),
    }


def _texts(part: Sequence[Turn]) -> list[str]:
    return [embedding_text(turn.text, turn.name) for turn in part]
