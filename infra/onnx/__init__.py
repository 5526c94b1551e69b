"""Embedding: sentence-transformers models in ONNX Runtime."""

from infra.onnx.embedder import Embedded, Embedder
from infra.onnx.load import load_embedder
from infra.onnx.settings import EmbeddingSettings

__all__ = ["Embedded", "Embedder", "EmbeddingSettings", "load_embedder"]
