"""Variants: made once, shared between processes, and refused when they are wrong."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from infra.onnx import load_embedder
from infra.onnx.int8 import int8_graph
from schemas.problems import MisconfiguredError
from tests.unit.tiny_model import make_model, settings

TEXTS = ("w1 w2 w3", "w4", "w5 w6 w7 w8 w9")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_model(tmp_path)


def _cached(directory: Path) -> list[Path]:
    return [path for path in (directory / "cache/onnx").iterdir() if path.is_dir()]


def test_int8_is_made_once_and_is_close_to_fp32(tiny: Path) -> None:
    fp32 = load_embedder(settings(tiny)).embed(TEXTS).vectors
    embedder = load_embedder(settings(tiny, variant="int8"))
    vectors = embedder.embed(TEXTS).vectors
    cosines = (vectors * fp32).sum(axis=1)
    assert embedder.identity.variant == "int8"
    assert cosines.min() > 0.97
    assert not np.array_equal(vectors, fp32)
    (made,) = _cached(tiny)
    before = (made / "model.onnx").stat()
    load_embedder(settings(tiny, variant="int8"))
    assert (made / "model.onnx").stat() == before


def test_loading_at_once_makes_it_once(tiny: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        embedders = list(pool.map(lambda _: load_embedder(settings(tiny, variant="int8")), range(4)))
    (made,) = _cached(tiny)
    assert [path.name for path in made.iterdir()] == ["model.onnx"]
    assert len(list(made.parent.glob("*.npy*"))) == 1
    assert len({embedder.identity for embedder in embedders}) == 1


def test_what_an_interrupted_process_left_is_made_anew(tiny: Path) -> None:
    load_embedder(settings(tiny, variant="int8"))
    (made,) = _cached(tiny)
    part = made.with_name(made.name + ".part")
    made.rename(part)
    (part / "model.onnx").write_bytes(b"half")
    load_embedder(settings(tiny, variant="int8"))
    assert _cached(tiny) == [made]


def test_a_variant_far_from_fp32_does_not_serve(tiny: Path) -> None:
    load_embedder(settings(tiny, variant="int8"))
    (path,) = (tiny / "cache/onnx").glob("*.npy")
    reference = np.load(path)
    np.save(path, -reference)
    with pytest.raises(
        MisconfiguredError,
        match=r"int8 is not close enough to fp32.*Set the provider to cpu and the variant to fp32",
    ):
        load_embedder(settings(tiny, variant="int8"))
    np.save(path, reference[:, :3])
    with pytest.raises(MisconfiguredError, match="not close enough"):
        load_embedder(settings(tiny, variant="int8"))


def test_the_floor_is_a_setting(tiny: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"embedding.min_cosine is 1.000"):
        load_embedder(settings(tiny, variant="int8", min_cosine=1.0))


def test_a_broken_cache_entry_is_named(tiny: Path) -> None:
    load_embedder(settings(tiny, variant="int8"))
    (reference,) = (tiny / "cache/onnx").glob("*.npy")
    reference.write_bytes(b"")
    with pytest.raises(MisconfiguredError, match=rf"{reference.name}.*if the file is there, delete it"):
        load_embedder(settings(tiny, variant="int8"))
    (made,) = _cached(tiny)
    (made / "model.onnx").unlink()
    with pytest.raises(MisconfiguredError, match=rf"{made.name} has no model.onnx: delete the folder"):
        load_embedder(settings(tiny, variant="int8"))


def test_a_cache_that_cannot_be_written_is_named(tiny: Path) -> None:
    (tiny / "cache").write_text("a file where the folder should be")
    with pytest.raises(MisconfiguredError, match=r"Check the disk and embedding\.cache_dir"):
        load_embedder(settings(tiny, variant="int8"))


def test_without_the_tools_only_a_made_one_serves(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without_onnx(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "onnx" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_onnx)
    with pytest.raises(MisconfiguredError, match="pip install onnx"):
        load_embedder(settings(tiny, variant="int8"))
    monkeypatch.undo()
    load_embedder(settings(tiny, variant="int8"))
    monkeypatch.setattr(importlib.util, "find_spec", without_onnx)
    load_embedder(settings(tiny, variant="int8"))


def test_a_graph_that_cannot_be_quantised_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"nonsense")

    with pytest.raises(MisconfiguredError, match=r"cannot make int8 of .*broken.onnx"):
        int8_graph(tmp_path / "broken.onnx", "hash", tmp_path / "cache")
