"""From settings to a model that is ready to embed."""

from __future__ import annotations

import os
from pathlib import Path

from infra.onnx.description import ModelDescription, Pooling, describe, read_pooling
from infra.onnx.embedder import Embedder
from infra.onnx.graph import RUNTIME_ERRORS, Graph
from infra.onnx.pooling import Floats
from infra.onnx.settings import EmbeddingSettings
from infra.onnx.source import ModelSource, locate
from infra.onnx.tokenization import TextTokenizer
from infra.onnx.variants import CHECK_SENTENCES, check_variant, int8_variant
from schemas.models import ModelIdentity
from schemas.problems import MisconfiguredError


def load_embedder(settings: EmbeddingSettings) -> Embedder:
    """Load the model that the settings name; takes a second, more if it must be downloaded or quantised first.

    Raises :class:`MisconfiguredError` if it cannot serve: missing files, modules that are not supported, a
    variant that is too far from fp32.
    """
    source = locate(settings)
    description = describe(source)
    tokenizer = TextTokenizer(description)

    def load(graph: Path) -> Embedder:
        return _load_graph(graph, source, description, tokenizer, settings)

    def reference() -> Floats:
        return load(source.graph).embed(CHECK_SENTENCES).vectors

    if settings.variant == "fp32":
        return load(source.graph)
    cached = int8_variant(source.graph, description.content, settings.cache_dir, reference)
    embedder = load(cached.graph)
    check_variant(embedder, cached.reference, settings.min_cosine)
    return embedder


def _load_graph(
    path: Path,
    source: ModelSource,
    description: ModelDescription,
    tokenizer: TextTokenizer,
    settings: EmbeddingSettings,
) -> Embedder:
    graph = Graph(path)
    pooling = Pooling((), None) if graph.pools else read_pooling(source)
    # The dimension is what comes out: files can be wrong, and a graph that pools need not state it.
    try:
        dimension = graph.run(tokenizer.encode(["dimension"]).ids, tokenizer.pad_id, pooling.modes).shape[1]
    except RUNTIME_ERRORS as error:
        raise MisconfiguredError(f"{path} cannot run with {description.tokenizer}: {error}") from error
    if pooling.dimension not in (None, dimension):
        raise MisconfiguredError(
            f"{path} gives vectors of {dimension} dimensions, the model's pooling config says "
            f"{pooling.dimension}: the files do not belong together."
        )
    return Embedder(
        ModelIdentity(
            model=description.name,
            revision=source.revision or f"sha256:{description.content[:16]}",
            variant=settings.variant,
            dimension=dimension,
        ),
        tokenizer,
        graph,
        pooling.modes,
        threads=settings.threads or len(os.sched_getaffinity(0)),
        micro_batch_tokens=settings.micro_batch_tokens,
    )
