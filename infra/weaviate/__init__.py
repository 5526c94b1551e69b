"""The search index: memories' vectors in Weaviate, behind :class:`VectorIndex`."""

from infra.weaviate import _quiet as _quiet  # first: it imports the client without its noise
from infra.weaviate.index import VectorIndex
from infra.weaviate.points import Hit, Point
from infra.weaviate.settings import WeaviateSettings

__all__ = ["Hit", "Point", "VectorIndex", "WeaviateSettings"]
