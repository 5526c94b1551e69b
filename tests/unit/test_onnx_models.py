"""What is read from a model's files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from infra.onnx import load_embedder
from infra.onnx.embedder import micro_batches
from schemas.problems import BatchRejectedError, MisconfiguredError
from tests.unit import tiny_model
from tests.unit.tiny_model import WIDTH, make_model, settings, token_vectors, write_json


def _unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(
    "shape",
    [
        {"graph_name": "model.onnx"},
        {"inputs": ("input_ids",)},
        {"inputs": ("input_ids", "attention_mask", "token_type_ids")},
        {"integer": TensorProto.INT32},
        {"output": "output_0"},
        {"modules": ("Transformer", "Pooling")},
        {"modules": ("Transformer", "Pooling", "Dropout", "Normalize")},
    ],
    ids=str,
)
def test_graphs_of_many_shapes_give_the_same_unit_vectors(tmp_path: Path, shape: dict[str, Any]) -> None:
    embedder = load_embedder(settings(make_model(tmp_path, **shape)))
    vectors = embedder.embed(["w1 w2 w3", "w4"]).vectors
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[0], _unit(token_vectors("w1 w2 w3").mean(axis=0)), atol=1e-5)
    np.testing.assert_allclose(vectors[1], _unit(token_vectors("w4").mean(axis=0)), atol=1e-5)


def test_positions_count_from_zero(tmp_path: Path) -> None:
    embedder = load_embedder(settings(make_model(tmp_path, inputs=("input_ids", "position_ids"))))
    placed = token_vectors("w1 w2") + np.arange(4)[:, None] / 1000
    np.testing.assert_allclose(embedder.embed(["w1 w2"]).vectors[0], _unit(placed.mean(axis=0)), atol=1e-5)


def test_a_graph_that_pools_needs_no_pooling_config(tmp_path: Path) -> None:
    make_model(tmp_path, output="sentence_embedding", modules=("Transformer", "Pooling", "Dense"))
    embedder = load_embedder(settings(tmp_path))
    assert embedder.identity.dimension == WIDTH
    np.testing.assert_allclose(
        embedder.embed(["w1 w2"]).vectors[0], _unit(token_vectors("w1 w2").max(axis=0)), atol=1e-5
    )


def test_no_texts(tmp_path: Path) -> None:
    embedded = load_embedder(settings(make_model(tmp_path))).embed([])
    assert embedded.vectors.shape == (0, WIDTH)
    assert embedded.truncated == 0


@pytest.mark.parametrize("special", [True, False])
def test_an_empty_text_has_a_vector(tmp_path: Path, special: bool) -> None:
    embedder = load_embedder(settings(make_model(tmp_path, special=special)))
    assert np.linalg.norm(embedder.embed(["", "w1"]).vectors, axis=1) == pytest.approx([1, 1])


def test_long_texts_are_cut_and_counted(tmp_path: Path) -> None:
    embedder = load_embedder(settings(make_model(tmp_path, max_length=12)))
    fits = " ".join(["w1"] * 10)
    embedded = embedder.embed([fits, fits + " w2 w3", "w4", fits + " w5"])
    assert embedded.truncated == 2
    np.testing.assert_allclose(embedded.vectors[1], embedded.vectors[0], atol=1e-6)
    assert embedder.embed([fits]).truncated == 0


def test_the_shortest_stated_length_counts(tmp_path: Path) -> None:
    make_model(tmp_path, max_length=None, config={"max_position_embeddings": 8})
    write_json(tmp_path / "tokenizer_config.json", {"model_max_length": 1e30})
    embedder = load_embedder(settings(tmp_path))
    assert embedder.embed([" ".join(["w1"] * n) for n in (5, 6, 7)]).truncated == 1


def test_order_is_kept_whatever_the_lengths(tmp_path: Path) -> None:
    embedder = load_embedder(settings(make_model(tmp_path), threads=3, micro_batch_tokens=20))
    texts = [" ".join(f"w{(i + k) % 60}" for k in range(i * 7 % 10)) for i in range(100)]
    expected = [_unit(token_vectors(text).mean(axis=0)) for text in texts]
    np.testing.assert_allclose(embedder.embed(texts).vectors, expected, atol=1e-5)


def test_lower_case_and_the_default_prompt_are_applied(tmp_path: Path) -> None:
    make_model(tmp_path)
    write_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": True})
    write_json(
        tmp_path / "config_sentence_transformers.json",
        {"prompts": {"query": "w9 w8 ", "document": "w1 "}, "default_prompt_name": "document"},
    )
    vector = load_embedder(settings(tmp_path)).embed(["W2 w3"]).vectors[0]
    np.testing.assert_allclose(vector, _unit(token_vectors("w1 w2 w3").mean(axis=0)), atol=1e-5)


def test_a_text_without_direction_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = tiny_model.EMBEDDINGS.copy()
    embeddings[10] = 0
    monkeypatch.setattr(tiny_model, "EMBEDDINGS", embeddings)
    embedder = load_embedder(settings(make_model(tmp_path, special=False)))
    with pytest.raises(BatchRejectedError, match="zero or not finite"):
        embedder.embed(["w1", tiny_model.WORDS[10]])


def test_a_few_texts_are_shared_out_among_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = load_embedder(settings(make_model(tmp_path), threads=2, micro_batch_tokens=10_000))
    sizes: list[int] = []
    run = embedder._graph.run

    def noted(ids: Any, *rest: Any) -> Any:
        sizes.append(len(ids))
        return run(ids, *rest)

    monkeypatch.setattr(embedder._graph, "run", noted)
    together = embedder.embed(["hello world"] * 8).vectors
    assert sorted(sizes) == [4, 4]
    assert np.allclose(together, embedder.embed(["hello world"]).vectors[0])


def test_micro_batches_hold_every_text_once_within_the_limit() -> None:
    lengths = [5, 300, 7, 1, 64, 64, 64, 64, 64, 2]
    batches = list(micro_batches(lengths, 256))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert batches[0] == [1]
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 256 for batch in batches)
    assert [4, 5, 6, 7] in batches


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            {"modules": ("Transformer", "Pooling", "Dense")},
            "sentence_transformers.models.Dense.*sentence_embedding",
        ),
        ({"modules": ("Transformer",)}, "must name one Pooling module, it names 0"),
        ({"pooling": {"pooling_mode": "mean", "word_embedding_dimension": 99}}, "16 dimensions.*says 99"),
        ({"inputs": ("input_ids", "past_key_values")}, "wants an input past_key_values"),
        ({"inputs": ("attention_mask",)}, "cannot load|no input input_ids"),
        ({"max_length": None}, "does not say how many tokens"),
        ({"integer": TensorProto.FLOAT}, "cannot load|wants an input"),
    ],
    ids=str,
)
def test_what_cannot_run_is_refused(tmp_path: Path, shape: dict[str, Any], message: str) -> None:
    make_model(tmp_path, **shape)
    with pytest.raises(MisconfiguredError, match=message):
        load_embedder(settings(tmp_path))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("onnx/model.onnx", "has no onnx/model.onnx or model.onnx"),
        ("tokenizer.json", "tokenizer.json is missing"),
        ("modules.json", "must name one Pooling module"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, missing: str, message: str) -> None:
    (make_model(tmp_path) / missing).unlink()
    with pytest.raises(MisconfiguredError, match=message):
        load_embedder(settings(tmp_path))


@pytest.mark.parametrize("broken", ["onnx/model.onnx", "tokenizer.json", "modules.json", "config.json"])
def test_broken_files_are_named(tmp_path: Path, broken: str) -> None:
    (make_model(tmp_path) / broken).write_bytes(b"\x00 nonsense")
    with pytest.raises(MisconfiguredError, match=broken):
        load_embedder(settings(tmp_path))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_model, "EMBEDDINGS", tiny_model.EMBEDDINGS[:2])
    make_model(tmp_path)
    with pytest.raises(MisconfiguredError, match=r"cannot run with .*tokenizer\.json"):
        load_embedder(settings(tmp_path))


def test_identity_follows_the_content_not_the_place(tmp_path: Path) -> None:
    first = load_embedder(settings(make_model(tmp_path / "a"))).identity
    again = load_embedder(settings(make_model(tmp_path / "b"))).identity
    other = load_embedder(settings(make_model(tmp_path / "c", pooling={"pooling_mode": "cls"}))).identity
    named = load_embedder(settings(make_model(tmp_path / "d", config={"_name_or_path": "acme/tiny"}))).identity
    assert first == again
    assert first.revision.startswith("sha256:")
    assert first.revision != other.revision
    assert named.model == "acme/tiny"
    assert str(tmp_path) not in str(first)
