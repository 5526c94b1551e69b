"""Every pooling against a reference written text by text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.onnx import load_embedder
from schemas.problems import MisconfiguredError
from tests.unit.tiny_model import WIDTH, make_model, settings, token_vectors

TEXTS = ("w1", "w2 w3 w4 w5 w6", "w7 w8", "", "unknown w9 w9 w9", "w10 w11 w12")
Array = NDArray[np.float32]


def _weighted(tokens: Array) -> Array:
    weights = np.arange(1, len(tokens) + 1)
    total: Array = (tokens * weights[:, None]).sum(axis=0) / weights.sum()
    return total


REFERENCES: dict[str, Callable[[Array], Any]] = {
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(axis=0),
    "mean": lambda tokens: tokens.mean(axis=0),
    "mean_sqrt_len_tokens": lambda tokens: tokens.sum(axis=0) / np.sqrt(len(tokens)),
    "weightedmean": _weighted,
    "lasttoken": lambda tokens: tokens[-1],
}
OLD_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def _expected(modes: tuple[str, ...]) -> Array:
    rows = np.array(
        [np.concatenate([REFERENCES[mode](token_vectors(text)) for mode in modes]) for text in TEXTS],
        dtype=np.float32,
    )
    unit: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("mode", REFERENCES)
@pytest.mark.parametrize("form", ["flag", "name"])
def test_pooling_is_read_from_the_files(tmp_path: Path, mode: str, form: str) -> None:
    pooling: dict[str, Any] = {OLD_FLAGS[mode]: True} if form == "flag" else {"pooling_mode": mode}
    embedder = load_embedder(settings(make_model(tmp_path, pooling=pooling)))
    assert embedder.identity.dimension == WIDTH
    np.testing.assert_allclose(embedder.embed(TEXTS).vectors, _expected((mode,)), atol=1e-5)


def test_several_poolings_are_joined(tmp_path: Path) -> None:
    pooling = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    embedder = load_embedder(settings(make_model(tmp_path, pooling=pooling)))
    assert embedder.identity.dimension == 2 * WIDTH
    np.testing.assert_allclose(embedder.embed(TEXTS).vectors, _expected(("cls", "mean")), atol=1e-5)


@pytest.mark.parametrize("pooling", [{}, {"pooling_mode": "attention"}, {"pooling_mode_mean_tokens": False}])
def test_an_unknown_pooling_is_refused(tmp_path: Path, pooling: dict[str, Any]) -> None:
    with pytest.raises(MisconfiguredError, match="supported are cls, max, mean"):
        load_embedder(settings(make_model(tmp_path, pooling=pooling)))
