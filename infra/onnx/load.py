"""From settings to a model that is ready to embed."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from infra.onnx.check import closeness, served_variant
from infra.onnx.description import ModelDescription, Pooling, describe, read_pooling
from infra.onnx.embedder import Embedder
from infra.onnx.graph import Graph
from infra.onnx.int8 import int8_graph
from infra.onnx.pooling import Floats
from infra.onnx.providers import feeding, open_session
from infra.onnx.reference import CHECK_SENTENCES, reference_vectors
from infra.onnx.settings import EmbeddingSettings
from infra.onnx.source import ModelSource, locate
from infra.onnx.tokenization import TextTokenizer
from schemas.models import ModelIdentity
from schemas.problems import MisconfiguredError

_log = logging.getLogger(__name__)


def load_embedder(settings: EmbeddingSettings) -> Embedder:
    """Load the model that the settings name; takes a second, more if it must be downloaded or quantised first.

    Raises :class:`MisconfiguredError` if it cannot serve: missing files, modules that are not supported, a
    provider that is not here, vectors that are too far from fp32's.
    """
    source = locate(settings)
    description = describe(source)
    tokenizer = TextTokenizer(description)

    def load(graph: Path, settings: EmbeddingSettings) -> Embedder:
        return _load_graph(graph, source, description, tokenizer, settings)

    def reference() -> Floats:
        plain = settings.model_copy(update={"provider": "cpu", "variant": "fp32"})
        return load(source.graph, plain).embed(CHECK_SENTENCES).vectors

    if (settings.provider, settings.variant) == ("cpu", "fp32"):
        return load(source.graph, settings)
    if settings.variant == "int8":
        graph = int8_graph(source.graph, description.content, settings.cache_dir)
    else:
        graph = source.graph
    embedder = load(graph, settings)
    close = closeness(embedder, reference_vectors(description.content, settings.cache_dir, reference))
    embedder.identity = replace(embedder.identity, variant=served_variant(settings, close))
    _log.info(
        "%s with %s is close enough to fp32: mean cosine %.5f, least %.5f; recorded as %s",
        settings.provider,
        settings.variant,
        close.mean,
        close.least,
        embedder.identity.variant,
    )
    return embedder


def _load_graph(
    path: Path,
    source: ModelSource,
    description: ModelDescription,
    tokenizer: TextTokenizer,
    settings: EmbeddingSettings,
) -> Embedder:
    fed = feeding(settings)
    graph = Graph(open_session(path, settings.provider, settings.variant, fed.threads), path)
    pooling = Pooling((), None) if graph.pools else read_pooling(source)
    # The dimension is what comes out: files can be wrong, and a graph that pools need not state it.
    try:
        dimension = graph.run(tokenizer.encode(["dimension"]).ids, tokenizer.pad_id, pooling.modes).shape[1]
    except graph.errors as error:
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
        threads=fed.threads,
        micro_batch_tokens=fed.micro_batch_tokens,
        shares=fed.shares,
    )
