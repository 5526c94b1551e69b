"""The poolings of sentence-transformers: from a vector for each token to one for the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def _sum(tokens: Floats, weights: Floats) -> Floats:
    # Not a matrix product: BLAS would start threads of its own for these small arrays.
    total: Floats = np.einsum("btd,bt->bd", tokens, weights)
    return total


def _total(weights: Floats) -> Floats:
    total: Floats = weights.sum(axis=1, keepdims=True)
    return total


def _cls(tokens: Floats, _mask: Floats) -> Floats:
    return tokens[:, 0]


def _max(tokens: Floats, mask: Floats) -> Floats:
    maximum: Floats = np.where(mask[..., None] > 0, tokens, np.float32(-np.inf)).max(axis=1)
    return maximum


def _mean(tokens: Floats, mask: Floats) -> Floats:
    return _sum(tokens, mask) / _total(mask)


def _mean_sqrt_len(tokens: Floats, mask: Floats) -> Floats:
    root: Floats = np.sqrt(_total(mask))
    return _sum(tokens, mask) / root


def _weighted_mean(tokens: Floats, mask: Floats) -> Floats:
    weights: Floats = mask * np.arange(1, mask.shape[1] + 1, dtype=np.float32)
    return _sum(tokens, weights) / _total(weights)


def _last_token(tokens: Floats, mask: Floats) -> Floats:
    last = mask.sum(axis=1).astype(np.int64) - 1
    chosen: Floats = tokens[np.arange(len(tokens)), last]
    return chosen


#: By sentence-transformers' name: (texts, tokens, width) and the mask (texts, tokens) of 1 for a token and 0 for
#: padding on the right, to (texts, width). Every text has at least one token.
POOLINGS: Final[dict[str, Callable[[Floats, Floats], Floats]]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last_token,
}


def pool(tokens: Floats, mask: Floats, modes: tuple[str, ...]) -> Floats:
    """Pool in each of ``modes`` and join the results: (texts, width times the number of modes)."""
    return np.concatenate([POOLINGS[mode](tokens, mask) for mode in modes], axis=1)
