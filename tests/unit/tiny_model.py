"""A tiny text encoder in the shape of a sentence-transformers directory, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from infra.onnx.settings import EmbeddingSettings

WIDTH = 16
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(60)))
_RANDOM = np.random.default_rng(7)
EMBEDDINGS: NDArray[np.float32] = _RANDOM.normal(size=(len(WORDS), WIDTH)).astype(np.float32)
WEIGHTS: NDArray[np.float32] = _RANDOM.normal(size=(WIDTH, WIDTH)).astype(np.float32)


def token_vectors(text: str, special: bool = True) -> NDArray[np.float32]:
    """What the graph gives for the tokens of ``text``: (tokens, width)."""
    ids = [WORDS.index(word) if word in WORDS else 1 for word in text.split()]
    framed = [2, *ids, 3] if special else ids
    vectors: NDArray[np.float32] = EMBEDDINGS[framed] @ WEIGHTS
    return vectors


def make_model(
    directory: Path,
    *,
    pooling: dict[str, Any] | None = None,
    modules: tuple[str, ...] = ("Transformer", "Pooling", "Normalize"),
    inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
    output: str = "last_hidden_state",
    graph_name: str = "onnx/model.onnx",
    max_length: int | None = 12,
    special: bool = True,
    integer: int = TensorProto.INT64,
    config: dict[str, Any] | None = None,
) -> Path:
    """Write the model. The graph looks tokens up and multiplies them with a matrix.

    With the output ``sentence_embedding`` it gives the maximum over all tokens; the input ``token_type_ids``
    is added to the vectors, ``position_ids`` a thousandth of it.
    """
    nodes = [
        helper.make_node("Gather", ["embeddings", "input_ids"], ["looked_up"]),
        helper.make_node("MatMul", ["looked_up", "weights"], ["tokens"]),
    ]
    constants = [
        numpy_helper.from_array(EMBEDDINGS, "embeddings"),
        numpy_helper.from_array(WEIGHTS, "weights"),
        numpy_helper.from_array(np.array([2], dtype=np.int64), "last_axis"),
        numpy_helper.from_array(np.array(0.001, dtype=np.float32), "thousandth"),
    ]
    tokens = "tokens"
    if "position_ids" in inputs:
        nodes += [
            helper.make_node("Cast", ["position_ids"], ["positions"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["positions", "thousandth"], ["small_positions"]),
            helper.make_node("Unsqueeze", ["small_positions", "last_axis"], ["wide_positions"]),
            helper.make_node("Add", [tokens, "wide_positions"], ["placed"]),
        ]
        tokens = "placed"
    if output == "sentence_embedding":
        nodes.append(helper.make_node("ReduceMax", [tokens], [output], axes=[1], keepdims=0))
        shape: list[str | int] = ["texts", WIDTH]
    else:
        nodes.append(helper.make_node("Identity", [tokens], [output]))
        shape = ["texts", "length", WIDTH]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, integer, ["texts", "length"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    (directory / graph_name).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / graph_name)
    _write_tokenizer(directory / "tokenizer.json", special)
    kinds = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{kind}" if i else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(modules)
    ]
    pooling = {"pooling_mode_mean_tokens": True} if pooling is None else pooling
    write_json(directory / "modules.json", kinds)
    write_json(directory / "1_Pooling/config.json", {"word_embedding_dimension": WIDTH, **pooling})
    write_json(directory / "sentence_bert_config.json", {"max_seq_length": max_length})
    write_json(directory / "config.json", {"hidden_size": WIDTH, **(config or {})})
    return directory


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _write_tokenizer(path: Path, special: bool) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if special:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    # As published files do: cut and padded to some length that is not the model's.
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    tokenizer.save(str(path))


def settings(directory: Path, **fields: Any) -> EmbeddingSettings:
    return EmbeddingSettings(model=str(directory), cache_dir=directory / "cache", **fields)
