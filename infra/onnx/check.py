"""No provider and no variant serves before its vectors, made on this very machine, were compared with fp32's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from infra.onnx.embedder import Embedder
from infra.onnx.pooling import Floats
from infra.onnx.reference import CHECK_SENTENCES
from infra.onnx.settings import EmbeddingSettings
from schemas.problems import BatchRejectedError, MisconfiguredError

#: Vectors at least this close to fp32's, each of them, are fp32's: the scores of a search move by less than the
#: search index's own approximation.
SAME: Final = 0.9999
#: How many times as far off as all may be on average a single sentence may be: a mean alone would hide one that is
#: wrong among some that are right.
_OUTLIER: Final = 3


@dataclass(frozen=True, slots=True)
class Closeness:
    """Cosines to fp32's vectors, over the check sentences."""

    mean: float
    least: float


def closeness(embedder: Embedder, reference: Floats) -> Closeness:
    """How close the embedder's vectors of the check sentences are to ``reference``: 0 if not comparable."""
    try:
        cosines = (embedder.embed(CHECK_SENTENCES).vectors * reference).sum(axis=1)
    except (BatchRejectedError, ValueError):  # vectors of no length, or of another shape
        cosines = np.zeros(1)
    return Closeness(float(cosines.mean()), float(cosines.min()))


def served_variant(settings: EmbeddingSettings, close: Closeness) -> str:
    """The variant that an index records for these vectors: ``fp32`` if they are fp32's, else their own.

    Raises :class:`MisconfiguredError` if they are too far from fp32 to serve.
    """
    names = f"embedding.provider {settings.provider} with embedding.variant {settings.variant}"
    advice = "Set the provider to cpu and the variant to fp32."
    if settings.variant == "fp32":
        if close.least < SAME:
            raise MisconfiguredError(
                f"{names} is not close enough to fp32 of the provider cpu on this machine: the least cosine is "
                f"{close.least:.5f}, it should be {SAME}. {advice}"
            )
        return "fp32"
    least = 1 - _OUTLIER * (1 - settings.min_cosine)
    if close.mean < settings.min_cosine or close.least < least:
        raise MisconfiguredError(
            f"{names} is not close enough to fp32 on this machine: the mean cosine is {close.mean:.3f}, the least "
            f"{close.least:.3f}; embedding.min_cosine is {settings.min_cosine:.3f}, which asks for {least:.3f} of "
            f"each sentence. {advice}"
        )
    # int8 rounds each text by what shares its micro-batch, so a few sentences cannot vouch for all.
    return "fp32" if settings.variant != "int8" and close.least >= SAME else settings.variant
