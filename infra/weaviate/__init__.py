"""The search index: memories' vectors in Weaviate, behind :class:`VectorIndex`."""

from typing import TYPE_CHECKING

from infra.weaviate.settings import WeaviateSettings

if TYPE_CHECKING:
    from infra.weaviate.index import VectorIndex
    from infra.weaviate.points import Hit, Point
else:
    from infra.lazy import exports

    # _quiet imports the client without its noise.
    __getattr__ = exports(__name__, {"Hit": "points", "Point": "points", "VectorIndex": "index"}, before="_quiet")

__all__ = ["Hit", "Point", "VectorIndex", "WeaviateSettings"]
