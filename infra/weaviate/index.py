"""The search index: memories' vectors in one Weaviate collection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from weaviate import WeaviateAsyncClient
from weaviate.classes.query import MetadataQuery
from weaviate.collections import CollectionAsync
from weaviate.collections.classes.internal import Object
from weaviate.exceptions import WeaviateInsertManyAllFailedError

from infra.weaviate.checks import check_vectors, named, stands, vector_of
from infra.weaviate.collection import ensure_collection, is_as_made_now, made_for, recorded_identity
from infra.weaviate.connection import make_client
from infra.weaviate.doubt import DoubtfulIds
from infra.weaviate.errors import COMPONENT, refusal, translated
from infra.weaviate.points import (
    SCOPE_FIELDS,
    Hit,
    Point,
    Properties,
    Vector,
    id_filter,
    points_filter,
    scope_filter,
    to_floats,
    to_object,
    to_point,
)
from infra.weaviate.settings import WeaviateSettings
from schemas.models import ModelIdentity
from schemas.problems import BatchRejectedError, StoreUnavailableError
from schemas.scope import Scope

WRITE_CHUNK: Final = 256
READ_CHUNK: Final = 1_000
DELETE_CHUNK: Final = 1_000  # Weaviate deletes at most 10,000 objects a call, and says nothing of the rest

# The client itself repeats an insert whose connection broke, a second later at the earliest.
_CLIENT_RETRY_AFTER_S: Final = 0.9

_Collection = CollectionAsync[Properties, None]
_T = TypeVar("_T")


class VectorIndex:
    """Holds one :class:`Point` for each live memory and finds the nearest of a scope.

    Every method raises ``StoreUnavailableError`` when Weaviate is down, slow or out of resources (the same
    call may be made again later, on the same object), ``BatchRejectedError`` when Weaviate refuses the data
    for good, and ``MisconfiguredError`` when it denies access.

    Weaviate stores an object first and indexes its vector after. When an insert is cut short between the two
    (the caller dies, a deadline passes, Weaviate is killed), the object is there but no search finds it, and
    inserting the same object again does not mend that, because an unchanged vector is not indexed again.
    So the outcome of such an insert is doubtful, and the points concerned are checked when they come again.
    """

    def __init__(self, settings: WeaviateSettings) -> None:
        self._settings = settings
        self._client: WeaviateAsyncClient | None = None
        self._dimension: int | None = None
        self._doubtful = DoubtfulIds()

    @property
    def collection(self) -> str:
        """The name of the collection."""
        return self._settings.collection

    def at(self, collection: str, dimension: int | None = None) -> VectorIndex:
        """Another collection over the same connection, which must be open and is closed here."""
        other = VectorIndex(self._settings.model_copy(update={"collection": collection}))
        other._client = self._connected
        other._dimension = dimension or self._dimension
        return other

    async def open(self) -> None:
        """Connect. After a ``StoreUnavailableError`` it may be called again."""
        if self._client is not None:
            return
        client = make_client(self._settings)
        try:
            async with translated(self._settings.connect_timeout_s, "connecting"):
                await client.connect()
        except BaseException:
            await client.close()
            raise
        self._client = client

    async def close(self) -> None:
        """Disconnect; harmless when not connected."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def is_ready(self) -> bool:
        """Whether a search would be answered now."""
        try:
            async with translated(self._settings.connect_timeout_s, "the readiness check"):
                await self._collection.query.fetch_objects(limit=1, return_properties=False)
        except (StoreUnavailableError, BatchRejectedError):
            return False
        return True

    async def ensure(self, identity: ModelIdentity) -> None:
        """Make the collection for the vectors of ``identity`` unless it is there.

        Raises ``MisconfiguredError`` when the collection holds the vectors of another model.
        """
        async with translated(self._settings.write_timeout_s, "making the collection"):
            await ensure_collection(self._connected, self._settings.collection, identity)
        self._dimension = identity.dimension

    async def made_by(self) -> ModelIdentity | None:
        """The model whose vectors the collection holds; None when there is no collection. Makes none.

        Raises ``MisconfiguredError`` when another program made the collection.
        """
        async with translated(self._settings.query_timeout_s, "reading the collection"):
            return await recorded_identity(self._connected, self._settings.collection)

    async def is_as_made_now(self, identity: ModelIdentity) -> bool:
        """Whether the collection is there for this model, with the index that :meth:`ensure` would make now."""
        async with translated(self._settings.query_timeout_s, "reading the collection"):
            return await is_as_made_now(self._connected, self._settings.collection, identity)

    async def server_version(self) -> str:
        """The version that Weaviate says it is."""
        async with translated(self._settings.query_timeout_s, "asking for the version"):
            meta = await self._connected.get_meta()
        return str(meta["version"])

    async def collections(self) -> set[str]:
        """The names of this collection and of all that rebuilds made beside it, as Weaviate has them."""
        async with translated(self._settings.query_timeout_s, "listing the collections"):
            return await made_for(self._connected, self._settings.collection)

    async def drop(self) -> None:
        """Remove the collection and all that is in it; harmless when it is not there."""
        async with translated(self._settings.write_timeout_s, "dropping the collection"):
            await self._connected.collections.delete(self._settings.collection)

    async def upsert(self, points: Sequence[Point], *, verify: bool = False) -> None:
        """Write points, replacing those with the same ids; of several with one id, the last counts.

        ``verify`` reads them back through the vector index and writes those again that a search would not
        find. Ask for it when the same points may have been written before by a process that has died;
        doubtful outcomes of this process are remembered and verified in any case. It costs one search a chunk.
        """
        unique = list({point.id: point for point in points}.values())
        check_vectors(unique, self._dimension)
        for chunk in _chunks(unique, WRITE_CHUNK):
            started = asyncio.get_running_loop().time()
            doubtful = verify or any(point.id in self._doubtful for point in chunk)
            self._doubtful.add(point.id for point in chunk)
            await self._insert(chunk)
            took = asyncio.get_running_loop().time() - started
            if doubtful or took >= _CLIENT_RETRY_AFTER_S:
                await self._mend(chunk)
            self._doubtful.settle(point.id for point in chunk)

    async def unsearchable(self, points: Sequence[Point]) -> list[Point]:
        """Those of ``points`` that a search would miss, or find with an older version or another vector."""
        missed: list[Point] = []
        for chunk in _chunks(points, WRITE_CHUNK):
            # A search, not a fetch: only that shows that the vectors are in the index. Any vector will do as
            # the query, because so few candidates are all compared.
            async with translated(self._settings.query_timeout_s, "reading back"):
                result = await self._collection.query.near_vector(
                    to_floats(chunk[0].vector),
                    limit=len(chunk),
                    filters=points_filter(chunk),
                    include_vector=True,
                    return_properties=["version"],
                )
            found = {item.uuid.int: item for item in result.objects}
            missed += [point for point in chunk if not stands(point, found.get(point.id.int))]
        return missed

    async def delete(self, ids: Sequence[UUID], *, verify: bool = False) -> None:
        """Delete the points with these ids; absent ids are fine. ``verify`` as for :meth:`upsert`."""
        for chunk in _chunks(list(dict.fromkeys(ids)), DELETE_CHUNK):
            doubtful = [uuid for uuid in chunk if verify or uuid in self._doubtful]
            self._doubtful.add(chunk)
            async with translated(self._settings.write_timeout_s, "a delete"):
                result = await self._collection.data.delete_many(where=id_filter(chunk))
            if result.failed:
                raise StoreUnavailableError(COMPONENT, f"{result.failed} of {result.matches} deletes failed")
            await self._delete_one_by_one(doubtful)
            self._doubtful.settle(chunk)

    async def versions(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """The stored version of each id that is there."""
        found = await self._fetch(ids, ["version"], with_vector=False)
        return {UUID(int=item.uuid.int): int(item.properties["version"]) for item in found}

    async def points(self, ids: Sequence[UUID]) -> dict[UUID, Point]:
        """The stored point of each id that is there; vectors are float32 arrays."""
        found = await self._fetch(ids, [*SCOPE_FIELDS, "version"], with_vector=True)
        points = (to_point(item.uuid, item.properties, vector_of(item)) for item in found)
        return {point.id: point for point in points}

    async def search(
        self, scope: Scope, vector: Vector, limit: int, ids: Sequence[UUID] | None = None
    ) -> list[Hit]:
        """The ``limit`` nearest of the points that ``scope`` covers, best first.

        The project always matches exactly, and so does every id that ``scope`` names. ``ids``, 1,000 at most,
        narrows it to these points, which are then all compared, whatever the vector index holds.
        """
        if ids is not None and not ids:
            return []
        wanted = scope_filter(scope) if ids is None else scope_filter(scope) & id_filter(ids)
        async with translated(self._settings.query_timeout_s, "a search"):
            result = await self._collection.query.near_vector(
                to_floats(vector),
                limit=limit,
                filters=wanted,
                return_metadata=MetadataQuery(distance=True),
                return_properties=False,
            )
        return [Hit(UUID(int=item.uuid.int), 1.0 - (item.metadata.distance or 0.0)) for item in result.objects]

    @property
    def _connected(self) -> WeaviateAsyncClient:
        if self._client is None:
            raise StoreUnavailableError(COMPONENT, "the connection is not open")
        return self._client

    @property
    def _collection(self) -> _Collection:
        return self._connected.collections.use(self._settings.collection)

    async def _insert(self, points: Sequence[Point]) -> None:
        async with translated(self._settings.write_timeout_s, "a write"):
            try:
                result = await self._collection.data.insert_many([to_object(point) for point in points])
            except WeaviateInsertManyAllFailedError as error:
                raise refusal(str(error), f"a write of {named(points)}") from error
        if result.errors:
            refused = [points[index] for index in result.errors]
            detail = "; ".join({error.message for error in result.errors.values()})
            raise refusal(detail, f"a write of {len(points)} memories, among them {named(refused)}")

    async def _mend(self, points: Sequence[Point]) -> None:
        """Delete and insert again what cannot be found; ``StoreUnavailableError`` if that does not help."""
        if not (missed := await self.unsearchable(points)):
            return
        await self._delete_one_by_one([point.id for point in missed])
        await self._insert(missed)
        if missed := await self.unsearchable(missed):
            raise StoreUnavailableError(COMPONENT, f"{len(missed)} memories cannot be read back after a write")

    async def _delete_one_by_one(self, ids: Sequence[UUID]) -> None:
        # A delete by filter misses objects that the index of ids has lost; that index is written apart too.
        async with translated(self._settings.write_timeout_s, "a delete"):
            for uuid in ids:
                await self._collection.data.delete_by_id(uuid)

    async def _fetch(
        self, ids: Sequence[UUID], properties: list[str], *, with_vector: bool
    ) -> list[Object[Any, Any]]:
        found: list[Object[Any, Any]] = []
        for chunk in _chunks(list(dict.fromkeys(ids)), READ_CHUNK):
            async with translated(self._settings.query_timeout_s, "a read"):
                result = await self._collection.query.fetch_objects(
                    limit=len(chunk),
                    filters=id_filter(chunk),
                    include_vector=with_vector,
                    return_properties=properties,
                )
            found += result.objects
        return found


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
