"""embed: texts become unit vectors, on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agents.items import Item
from infra.onnx import Embedder
from infra.telemetry.metrics import TRUNCATED
from schemas.memories import embedding_text
from schemas.vectors import check_vector

#: Unit vectors, float32, by the text that was embedded.
Vectors = dict[str, NDArray[np.float32]]

#: Texts embedded at a time.
_SLICE: Final = 512


class EmbedStage:
    """Embeds texts one batch at a time: two at once would only fight for the same cores."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._thread = ThreadPoolExecutor(1, "embed")
        self.model = embedder.identity
        self.dimension = embedder.identity.dimension
        #: Slices embedded so far.
        self.steps = 0

    def close(self) -> None:
        """Wait for the batch in hand and end the thread."""
        self._thread.shutdown(cancel_futures=True)

    def check(self, item: Item) -> None:
        """Raise ``RecordRejectedError`` when the caller's own vector does not fit the model."""
        if item.request.vector is not None:
            check_vector(item.request.vector, self.dimension)

    async def embed_items(self, items: Iterable[Item]) -> Vectors:
        """Vectors for all that these requests will store, as far as it is known before they are applied."""
        return await self.embed_texts(
            embedding_text(message.content, message.name)
            for item in items
            if item.request.op == "add" and item.request.vector is None
            for message in item.request.contents
        )

    async def embed_texts(self, texts: Iterable[str]) -> Vectors:
        """Vectors for these texts; each different text is embedded once."""
        wanted = list(dict.fromkeys(texts))
        if not wanted:
            return {}
        loop = asyncio.get_running_loop()
        vectors: Vectors = {}
        # In slices: a batch may hold a hundred thousand texts, and to stop must not take as long as all of them.
        for start in range(0, len(wanted), _SLICE):
            part = wanted[start : start + _SLICE]
            embedded = await loop.run_in_executor(self._thread, self._embedder.embed, part)
            TRUNCATED.inc(embedded.truncated)
            vectors.update(zip(part, embedded.vectors, strict=True))
            self.steps += 1
        return vectors
