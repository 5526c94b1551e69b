"""Embedding: sentence-transformers models exported to ONNX, in ONNX Runtime or OpenVINO."""

from typing import TYPE_CHECKING

from infra.onnx.settings import EmbeddingSettings

if TYPE_CHECKING:
    from infra.onnx.embedder import Embedded, Embedder
    from infra.onnx.load import load_embedder
else:
    from infra.lazy import exports

    __getattr__ = exports(__name__, {"Embedded": "embedder", "Embedder": "embedder", "load_embedder": "load"})

__all__ = ["Embedded", "Embedder", "EmbeddingSettings", "load_embedder"]
