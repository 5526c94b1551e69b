"""The collection: its properties, its vector index, and the record of the model whose vectors it holds."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any, Final

from weaviate import WeaviateAsyncClient
from weaviate.classes.config import (
    Configure,
    DataType,
    Property,
    Tokenization,
    VectorDistances,
)
from weaviate.exceptions import UnexpectedStatusCodeError

from infra.weaviate.points import SCOPE_FIELDS
from schemas.models import ModelIdentity
from schemas.problems import MisconfiguredError

# Building the graph is the second largest cost of storing a memory. Nearly every search names an entity and
# so matches fewer memories than FLAT_SEARCH_CUTOFF: those are compared one by one, which is exact whatever
# the graph. So the graph is built cheaply, and searched widely where it is used at all.
EF_CONSTRUCTION: Final = 32
MAX_CONNECTIONS: Final = 32
EF_SEARCH: Final = 500
FLAT_SEARCH_CUTOFF: Final = 40_000
_GRAPH: Final[dict[str, Any]] = {
    "distance_metric": VectorDistances.COSINE,
    "ef_construction": EF_CONSTRUCTION,
    "max_connections": MAX_CONNECTIONS,
    "dynamic_ef_min": EF_SEARCH,
    "dynamic_ef_max": EF_SEARCH,
    "flat_search_cutoff": FLAT_SEARCH_CUTOFF,
}

_ALREADY_EXISTS: Final = 422
_MARK: Final = "agentmem"


async def ensure_collection(client: WeaviateAsyncClient, name: str, identity: ModelIdentity) -> None:
    """Make the collection for ``identity`` unless it is there; ``MisconfiguredError`` if it is another's."""
    if not await client.collections.exists(name):
        try:
            await _create(client, name, identity)
        except UnexpectedStatusCodeError as error:
            # Another process may have made it in the meantime: then its record decides, as ever.
            if error.status_code != _ALREADY_EXISTS or not await client.collections.exists(name):
                raise
    config = await client.collections.use(name).config.get(simple=True)
    _require(name, _recorded(config.description), identity)


async def recorded_identity(client: WeaviateAsyncClient, name: str) -> ModelIdentity | None:
    """The model whose vectors the collection holds; None when there is no such collection.

    Raises ``MisconfiguredError`` for a collection that is not ours.
    """
    if not await client.collections.exists(name):
        return None
    config = await client.collections.use(name).config.get(simple=True)
    recorded = _recorded(config.description)
    if recorded is None:
        raise _stranger(name)
    return ModelIdentity(**recorded)


async def is_as_made_now(client: WeaviateAsyncClient, name: str, identity: ModelIdentity) -> bool:
    """Whether the collection is there for ``identity``, with the index that a new one would get."""
    if not await client.collections.exists(name):
        return False
    config = await client.collections.use(name).config.get()
    if _recorded(config.description) != asdict(identity) or not config.vector_config:
        return False
    graph = config.vector_config["default"].vector_index_config
    properties = {(one.name, one.data_type, one.tokenization, one.index_filterable) for one in config.properties}
    return all(getattr(graph, field) == value for field, value in _GRAPH.items()) and properties == {
        (one.name, one.dataType, one.tokenization, one.indexFilterable) for one in _PROPERTIES
    }


async def made_for(client: WeaviateAsyncClient, index: str) -> set[str]:
    """The names of all collections of an index: its own, and with a time behind it those that rebuilds made."""
    ours = re.compile(rf"{index}(_\d{{8}}T\d{{12}})?")
    return {name for name in await client.collections.list_all(simple=True) if ours.fullmatch(name)}


async def _create(client: WeaviateAsyncClient, name: str, identity: ModelIdentity) -> None:
    await client.collections.create(
        name,
        description=json.dumps({_MARK: asdict(identity)}),
        properties=list(_PROPERTIES),
        inverted_index_config=Configure.inverted_index(
            index_null_state=False, index_property_length=False, index_timestamps=False
        ),
        vector_config=Configure.Vectors.self_provided(vector_index_config=Configure.VectorIndex.hnsw(**_GRAPH)),
    )


def _scope_property(name: str) -> Property:
    # FIELD: the whole value is one term. Any other tokenization lets "alice" match "alice-2".
    return Property(
        name=name,
        data_type=DataType.TEXT,
        tokenization=Tokenization.FIELD,
        index_filterable=True,
        index_searchable=False,
    )


_PROPERTIES: Final = (
    *map(_scope_property, SCOPE_FIELDS),
    Property(name="version", data_type=DataType.INT, index_filterable=False),
)


def _recorded(description: str | None) -> dict[str, Any] | None:
    try:
        document = json.loads(description or "")
    except ValueError:
        return None
    return document.get(_MARK) if isinstance(document, dict) else None


def _require(name: str, recorded: dict[str, Any] | None, identity: ModelIdentity) -> None:
    if recorded is None:
        raise _stranger(name)
    if recorded != asdict(identity):
        raise MisconfiguredError(
            f"The Weaviate collection {name} holds vectors of {_describe(recorded)}, "
            f"but {_describe(asdict(identity))} is configured. Set the embedding settings back, "
            "or choose another weaviate.collection and rebuild the index into it."
        )


def _stranger(name: str) -> MisconfiguredError:
    return MisconfiguredError(
        f"The Weaviate collection {name} was not made by AgentMem. "
        "Choose another name in the setting weaviate.collection."
    )


def _describe(model: dict[str, Any]) -> str:
    return (
        f"the model {model.get('model')} (revision {model.get('revision')}, variant {model.get('variant')}, "
        f"{model.get('dimension')} dimensions)"
    )
