"""Texts to unit vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from infra.onnx.graph import Graph
from infra.onnx.pooling import Floats
from infra.onnx.tokenization import TextTokenizer
from schemas.models import ModelIdentity
from schemas.problems import BatchRejectedError


@dataclass(frozen=True, slots=True)
class Embedded:
    """``vectors``: (texts, dimension) float32, unit rows in the order of the texts.

    ``truncated``: how many texts were longer than the model reads and lost their end.
    """

    vectors: Floats
    truncated: int


class Embedder:
    """A loaded model. Thread-safe; :meth:`embed` blocks, so an event loop calls it in a thread."""

    def __init__(
        self,
        identity: ModelIdentity,
        tokenizer: TextTokenizer,
        graph: Graph,
        modes: tuple[str, ...],
        *,
        threads: int,
        micro_batch_tokens: int,
        shares: bool,
    ) -> None:
        self.identity = identity
        self._tokenizer = tokenizer
        self._graph = graph
        self._modes = modes
        self._micro_batch_tokens = micro_batch_tokens
        self._threads = threads
        self._shares = shares
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="embed")

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed any number of texts.

        Raises :class:`BatchRejectedError` if the model has no direction for one of them (a zero or infinite
        vector).
        """
        vectors = np.empty((len(texts), self.identity.dimension), dtype=np.float32)
        if not texts:
            return Embedded(vectors, 0)
        tokens = self._tokenizer.encode(texts)
        lengths = [len(ids) for ids in tokens.ids]
        # Where a run keeps one core busy, a few texts are shared out among the threads: they are done sooner.
        share = -(-sum(lengths) // self._threads) if self._shares else self._micro_batch_tokens
        batches = list(micro_batches(lengths, min(self._micro_batch_tokens, share)))
        results = self._executor.map(
            lambda batch: self._graph.run([tokens.ids[i] for i in batch], self._tokenizer.pad_id, self._modes),
            batches,
        )
        for batch, result in zip(batches, results, strict=True):
            vectors[batch] = result
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and norms.all()):
            raise BatchRejectedError("the model gave a text a vector that is zero or not finite")
        vectors /= norms
        return Embedded(vectors, tokens.truncated)


def micro_batches(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Group texts by their lengths in tokens: indexes, longest first, at most ``limit`` tokens with padding.

    Longest first, because the last micro-batches to finish should be short. A text longer than ``limit``
    is alone.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > limit:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
