"""What every provider and variant of the real model must do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from infra.onnx import Embedder, EmbeddingSettings, load_embedder
from infra.onnx.providers import is_installed
from infra.onnx.settings import ProviderName, Variant

TEXTS = (
    "Nadia: I finally adopted a cat, she is called Pepper.",
    "Nadia: I got a kitten from the shelter last week!",
    "The invoice for the roof repair is due on the first of June.",
    "ok",
    "Wir treffen uns um acht am Bahnhof.",
    "昨日、京都で古いラジオを買いました。",
    "🎉🎉🎉",
    "",
    "a\nb\tc   \u200d \u202e d",
    "the same long tale again and again " * 60,
)
#: The least cosine of a text alone to the same text in a batch, whose range decides how int8 rounds: texts of
#: two or three tokens suffer most.
AGREEMENT = {"fp32": 0.9999, "int8": 0.9}
FASTER: tuple[tuple[ProviderName, Variant], ...] = (
    ("cpu", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("cuda", "fp32"),
)


Load = Callable[[ProviderName, Variant], Embedder]


@pytest.fixture(scope="module")
def load(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Load:
    cache_dir = tmp_path_factory.mktemp("embedding")

    @cache
    def load(provider: ProviderName, variant: Variant) -> Embedder:
        if not is_installed(provider):
            pytest.skip(f"the packages of {provider} are not installed")
        if variant == "bf16" and "avx512_bf16" not in Path("/proc/cpuinfo").read_text():
            pytest.skip("this CPU has no bf16")
        return load_embedder(
            EmbeddingSettings(
                model=str(model_dir), provider=provider, variant=variant, threads=2, cache_dir=cache_dir
            )
        )

    return load


@pytest.fixture(scope="module", params=[("cpu", "fp32"), *FASTER], ids="-".join)
def embedder(request: pytest.FixtureRequest, load: Load) -> Embedder:
    return load(*request.param)


def _cosines(embedder: Embedder, left: list[str], right: list[str]) -> np.ndarray:
    cosines: np.ndarray = (embedder.embed(left).vectors * embedder.embed(right).vectors).sum(axis=1)
    return cosines


def test_identity_names_the_model_and_its_dimension(embedder: Embedder) -> None:
    identity = embedder.identity
    assert identity.dimension == 384
    assert identity.variant in str(identity)
    assert identity.revision.startswith("sha256:")
    assert "/tmp" not in str(identity)


def test_any_texts_become_unit_rows(embedder: Embedder) -> None:
    embedded = embedder.embed(TEXTS)
    assert embedded.vectors.shape == (len(TEXTS), 384)
    assert embedded.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embedded.vectors, axis=1), 1, atol=1e-5)
    assert embedded.truncated == 1
    assert embedder.embed([]).vectors.shape == (0, 384)


def test_a_batch_gives_what_each_text_alone_gives(embedder: Embedder) -> None:
    alone = np.concatenate([embedder.embed([text]).vectors for text in TEXTS])
    cosines = (alone * embedder.embed(TEXTS).vectors).sum(axis=1)
    assert cosines.min() > AGREEMENT[embedder.identity.variant]
    assert cosines.mean() > 0.97


@pytest.mark.parametrize(("provider", "variant"), FASTER)
def test_all_agree_with_fp32_on_the_cpu(load: Load, provider: ProviderName, variant: Variant) -> None:
    embedder, fp32 = load(provider, variant), load("cpu", "fp32")
    cosines = (embedder.embed(TEXTS).vectors * fp32.embed(TEXTS).vectors).sum(axis=1)
    assert cosines.mean() > 0.97
    if embedder.identity == fp32.identity:
        assert cosines.min() > 0.9998
    else:
        assert embedder.identity.variant == "int8"


def test_meaning_is_near(embedder: Embedder) -> None:
    cat, kitten, invoice = TEXTS[:3]
    near, far = _cosines(embedder, [cat, cat], [kitten, invoice])
    assert near > far + 0.2


def test_what_lies_beyond_the_maximum_does_not_count(embedder: Embedder) -> None:
    long = TEXTS[-1]
    assert _cosines(embedder, [long], [long + " but this end is never read"])[0] == pytest.approx(1, abs=1e-4)


def test_many_threads_may_embed_at_once(embedder: Embedder) -> None:
    expected = embedder.embed(TEXTS).vectors
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: embedder.embed(TEXTS).vectors, range(16)))
    assert all((result * expected).sum(axis=1).min() > 0.999 for result in results)
