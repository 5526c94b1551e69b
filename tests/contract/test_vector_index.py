"""What the rest of the system may rely on in the search index, against a real Weaviate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr

from infra.weaviate import Hit, Point, VectorIndex, WeaviateSettings
from infra.weaviate.collection import FLAT_SEARCH_CUTOFF
from infra.weaviate.index import DELETE_CHUNK, WRITE_CHUNK
from schemas.models import ModelIdentity
from schemas.problems import BatchRejectedError, MisconfiguredError, StoreUnavailableError
from schemas.scope import Scope
from tests.harness.link import Link

DIMENSION = 8
MODEL = ModelIdentity("all-MiniLM-L6-v2", "main", "fp32", DIMENSION)
ALICE = Scope("acme", user_id="alice")
ODD_IDS = [
    "alice",
    "alice-2",
    "ALICE",
    "bob alice",
    " alice",
    "alice ",
    "\talice\n",
    'say "alice"',
    "it's",
    "a\\b",
    "100%",
    "%61lice",
    "älïce",
    "a\u0308",
    "アリス",
    "🦊",
    "the",
    "*",
    "null",
    "a/b:c",
    "x" * 256,
    "🦊" * 256,
]


@pytest.fixture
async def index(weaviate_settings: WeaviateSettings) -> AsyncIterator[VectorIndex]:
    index = VectorIndex(weaviate_settings)
    await index.open()
    await index.ensure(MODEL)
    yield index
    await index.close()


@pytest.fixture
async def stranger(weaviate_settings: WeaviateSettings) -> AsyncIterator[VectorIndex]:
    """Another process's view of the same collection."""
    index = VectorIndex(weaviate_settings)
    await index.open()
    yield index
    await index.close()


def unit_vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    normalised: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalised


def make_points(count: int, scope: Scope = ALICE, seed: int = 0, version: int = 1) -> list[Point]:
    return [Point(uuid4(), version, scope, vector) for vector in unit_vectors(count, seed)]


def ids_of(points: Sequence[Point]) -> list[UUID]:
    return [point.id for point in points]


async def test_search_returns_the_nearest_first_with_cosine_scores(index: VectorIndex) -> None:
    points = make_points(40)
    await index.upsert(points)
    query = unit_vectors(1, seed=1)[0]

    hits = await index.search(ALICE, query, 10)

    cosines = {point.id: float(np.dot(point.vector, query)) for point in points}
    best = sorted(cosines, key=lambda uuid: -cosines[uuid])[:10]
    assert [hit.id for hit in hits] == best
    assert [hit.score for hit in hits] == pytest.approx([cosines[uuid] for uuid in best], abs=1e-5)


@pytest.mark.parametrize("field", ["user_id", "agent_id", "app_id", "run_id"])
async def test_ids_match_exactly(index: VectorIndex, field: str) -> None:
    scopes = [replace(Scope("acme"), **{field: value}) for value in ODD_IDS]
    points = [make_points(1, scope)[0] for scope in scopes]
    await index.upsert(points)

    for scope, point in zip(scopes, points, strict=True):
        assert ids_of_hits(await index.search(scope, point.vector, 50)) == {point.id}
    assert {uuid: point.scope for uuid, point in (await index.points(ids_of(points))).items()} == {
        point.id: point.scope for point in points
    }


async def test_a_search_sees_one_project_only(index: VectorIndex) -> None:
    projects = ["acme", "acme-2", "Acme", "acme ", "acme/other"]
    points = [make_points(1, Scope(project, user_id="alice"))[0] for project in projects]
    await index.upsert(points)

    for project, point in zip(projects, points, strict=True):
        for scope in (Scope(project), Scope(project, user_id="alice")):
            assert ids_of_hits(await index.search(scope, point.vector, 50)) == {point.id}
    assert await index.search(Scope("nobody"), points[0].vector, 50) == []


async def test_every_named_id_must_match(index: VectorIndex) -> None:
    user, both, other = (
        make_points(1, scope)[0]
        for scope in (
            ALICE,
            Scope("acme", user_id="alice", run_id="r1"),
            Scope("acme", user_id="bob", run_id="r1"),
        )
    )
    await index.upsert([user, both, other])

    async def found(**ids: str) -> set[UUID]:
        return ids_of_hits(await index.search(Scope("acme", **ids), user.vector, 10))

    assert await found(user_id="alice") == {user.id, both.id}
    assert await found(run_id="r1") == {both.id, other.id}
    assert await found(user_id="alice", run_id="r1") == {both.id}
    assert await found(user_id="bob", agent_id="r1") == set()


async def test_an_upsert_replaces_and_repeats_without_harm(index: VectorIndex) -> None:
    [first] = make_points(1)
    second = replace(first, version=2, vector=unit_vectors(1, seed=5)[0])
    third = replace(second, version=3)

    for point in (first, first, second, third, third):
        await index.upsert([point])
        [hit] = await index.search(ALICE, point.vector, 10)
        assert hit.id == point.id
        assert hit.score == pytest.approx(1.0, abs=1e-5)
        assert await index.versions([point.id]) == {point.id: point.version}


async def test_of_several_points_with_one_id_the_last_counts(index: VectorIndex) -> None:
    [first] = make_points(1)
    last = replace(first, version=2, vector=unit_vectors(1, seed=5)[0])
    await index.upsert([first, last])

    stored = (await index.points([first.id]))[first.id]

    assert stored.version == 2
    assert np.allclose(stored.vector, last.vector, atol=1e-6)


async def test_versions_and_points_tell_what_is_there(index: VectorIndex) -> None:
    points = make_points(WRITE_CHUNK + 10, version=7)
    await index.upsert(points)
    asked = [*ids_of(points), points[0].id, uuid4()]

    assert await index.versions(asked) == {point.id: 7 for point in points}
    stored = await index.points(asked)
    assert stored.keys() == {point.id for point in points}
    assert all(np.allclose(stored[point.id].vector, point.vector, atol=1e-6) for point in points)
    assert {type(uuid) for uuid in stored} == {UUID}


async def test_deleted_points_are_gone_and_absent_ones_do_no_harm(index: VectorIndex) -> None:
    points = make_points(3)
    await index.upsert(points)

    for _ in range(2):
        await index.delete([points[0].id, points[1].id, uuid4()])

    assert await index.versions(ids_of(points)) == {points[2].id: 1}
    assert ids_of_hits(await index.search(ALICE, points[0].vector, 10)) == {points[2].id}
    await index.upsert(points)
    assert len(await index.search(ALICE, points[0].vector, 10)) == 3


async def test_nothing_to_do_is_done(index: VectorIndex) -> None:
    await index.upsert([])
    await index.delete([])
    assert await index.versions([]) == {}
    assert await index.points([]) == {}
    assert await index.unsearchable([]) == []


async def test_more_deletes_than_one_call_takes(index: VectorIndex) -> None:
    points = make_points(2 * DELETE_CHUNK + 100)
    await index.upsert(points)

    await index.delete(ids_of(points))

    assert await index.versions(ids_of(points)) == {}


async def test_unsearchable_names_what_a_search_would_miss(index: VectorIndex) -> None:
    right, older, newer, other_vector, absent = make_points(5, version=2)
    await index.upsert([right, replace(older, version=1), replace(newer, version=3)])
    await index.upsert([replace(other_vector, vector=unit_vectors(1, seed=9)[0])])

    missed = await index.unsearchable([right, older, newer, other_vector, absent])

    assert ids_of(missed) == [older.id, other_vector.id, absent.id]


async def test_a_verified_upsert_mends_objects_without_an_indexed_vector(
    index: VectorIndex, stranger: VectorIndex
) -> None:
    # A caller that dies in the middle of a write leaves such objects behind.
    points = make_points(8 * WRITE_CHUNK)
    write = asyncio.create_task(index.upsert(points))
    while not await stranger.versions([points[WRITE_CHUNK].id]):
        assert not write.done()
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write

    await stranger.upsert(points, verify=True)

    assert await stranger.unsearchable(points) == []


async def test_a_bad_vector_is_refused_by_name_and_the_rest_can_be_stored(index: VectorIndex) -> None:
    good, bad = make_points(2)
    for vector in ([1.0, 0.0], [float("nan")] * DIMENSION, []):
        with pytest.raises(BatchRejectedError, match=str(bad.id)):
            await index.upsert([good, replace(bad, vector=vector)])
    await index.upsert([good])

    with pytest.raises(BatchRejectedError, match="refuses a search"):
        await index.search(ALICE, [1.0, 0.0], 10)


async def test_a_refusal_by_weaviate_names_the_ids(index: VectorIndex, stranger: VectorIndex) -> None:
    good, bad = make_points(2)
    await index.upsert([good])
    # This one was not told the dimension, so it is Weaviate that refuses.
    for batch in ([good, replace(bad, vector=[1.0, 0.0])], [replace(bad, vector=[1.0, 0.0])]):
        with pytest.raises(BatchRejectedError, match=f"memories \\({bad.id}\\)"):
            await stranger.upsert(batch)


async def test_another_models_index_is_refused(index: VectorIndex, stranger: VectorIndex) -> None:
    await stranger.ensure(MODEL)
    for change in (
        {"model": "other"},
        {"revision": "v2"},
        {"variant": "int8"},
        {"dimension": 384},
    ):
        other = replace(MODEL, **change)
        with pytest.raises(MisconfiguredError) as caught:
            await stranger.ensure(other)
        assert "all-MiniLM-L6-v2 (revision main, variant fp32, 8 dimensions)" in str(caught.value)
        assert f"{other.model} (revision {other.revision}, variant {other.variant}" in str(caught.value)
        assert "rebuild" in str(caught.value)


async def test_who_made_the_index_is_read_without_making_one(stranger: VectorIndex) -> None:
    assert await stranger.made_by() is None
    assert await stranger.made_by() is None
    await stranger.ensure(MODEL)
    assert await stranger.made_by() == MODEL
    assert (await stranger.server_version()).split(".")[0].isdigit()


async def test_the_model_stands_in_the_collections_description(index: VectorIndex) -> None:
    config = await index._collection.config.get()

    assert config.description is not None
    assert json.loads(config.description)["agentmem"]["model"] == MODEL.model
    assert config.vector_config is not None
    vectors = config.vector_config["default"].vector_index_config
    assert vectors is not None
    assert getattr(vectors, "flat_search_cutoff", None) == FLAT_SEARCH_CUTOFF
    assert getattr(vectors, "quantizer", None) is None


async def test_a_foreign_collection_is_refused(weaviate_settings: WeaviateSettings) -> None:
    index = VectorIndex(weaviate_settings)
    await index.open()
    await index._connected.collections.create(weaviate_settings.collection)
    with pytest.raises(MisconfiguredError, match=r"weaviate\.collection"):
        await index.ensure(MODEL)
    with pytest.raises(MisconfiguredError, match=r"weaviate\.collection"):
        await index.made_by()
    await index.close()


async def test_many_may_ensure_at_once(weaviate_settings: WeaviateSettings) -> None:
    indexes = [VectorIndex(weaviate_settings) for _ in range(6)]
    await asyncio.gather(*(index.open() for index in indexes))

    await asyncio.gather(*(index.ensure(MODEL) for index in indexes))

    assert all(await asyncio.gather(*(index.is_ready() for index in indexes)))
    await asyncio.gather(*(index.close() for index in indexes))


async def test_ready_only_with_a_connection_and_a_collection(weaviate_settings: WeaviateSettings) -> None:
    index = VectorIndex(weaviate_settings)
    assert not await index.is_ready()
    await index.open()
    assert not await index.is_ready()
    with pytest.raises(StoreUnavailableError, match="missing"):
        await index.search(ALICE, unit_vectors(1)[0], 1)
    with pytest.raises(StoreUnavailableError, match="missing"):
        await index.upsert(make_points(1))
    await index.ensure(MODEL)
    assert await index.is_ready()
    await index.drop()
    await index.drop()
    await index.close()
    await index.close()


async def test_a_wrong_key_is_a_matter_of_settings(weaviate_settings: WeaviateSettings) -> None:
    if weaviate_settings.api_key is None:
        pytest.skip("this Weaviate asks for no key")
    index = VectorIndex(weaviate_settings.model_copy(update={"api_key": SecretStr("wrong")}))
    with pytest.raises(MisconfiguredError, match=r"weaviate\.api_key"):
        await index.open()
    await index.close()


@pytest.fixture
async def links(weaviate_settings: WeaviateSettings) -> AsyncIterator[tuple[Link, Link]]:
    """Links to Weaviate's REST and gRPC ports, up."""
    rest, grpc = Link(weaviate_settings.url.removeprefix("http://")), Link(weaviate_settings.grpc)
    await rest.up()
    await grpc.up()
    yield rest, grpc
    await rest.down()
    await grpc.down()


@pytest.fixture
async def distant(weaviate_settings: WeaviateSettings, links: tuple[Link, Link]) -> AsyncIterator[VectorIndex]:
    """An index, not open yet, that reaches Weaviate over ``links``, and is impatient."""
    rest, grpc = links
    index = VectorIndex(
        weaviate_settings.model_copy(
            update={
                "url": f"http://{rest.address}",
                "grpc": grpc.address,
                "connect_timeout_s": 3,
                "query_timeout_s": 3,
                "write_timeout_s": 3,
            }
        )
    )
    yield index
    await index.close()


async def test_opening_can_be_tried_again(distant: VectorIndex, links: tuple[Link, Link]) -> None:
    for link in links:
        await link.down()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="Weaviate is unavailable"):
            await distant.open()
        with pytest.raises(StoreUnavailableError, match="not open"):
            await distant.search(ALICE, unit_vectors(1)[0], 1)
        assert not await distant.is_ready()

    for link in links:
        await link.up()
    await distant.open()
    await distant.ensure(MODEL)

    assert await distant.is_ready()


async def test_every_call_says_that_weaviate_is_down_and_works_when_it_is_back(
    distant: VectorIndex, links: tuple[Link, Link], capfd: pytest.CaptureFixture[str]
) -> None:
    await distant.open()
    await distant.ensure(MODEL)
    points = make_points(20)
    await distant.upsert(points[:10])
    for link in links:
        await link.down()

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: distant.upsert(points),
        lambda: distant.delete(ids_of(points)),
        lambda: distant.versions(ids_of(points)),
        lambda: distant.points(ids_of(points)),
        lambda: distant.search(ALICE, points[0].vector, 5),
        lambda: distant.unsearchable(points),
        lambda: distant.ensure(MODEL),
        distant.drop,
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError, match="Weaviate is unavailable"):
            await call()
    assert not await distant.is_ready()

    for link in links:
        await link.up()
    async with asyncio.timeout(90):
        while not await distant.is_ready():
            pass
    await distant.upsert(points)
    assert await distant.unsearchable(points) == []
    assert len(await distant.search(ALICE, points[0].vector, 50)) == 20
    assert capfd.readouterr() == ("", "")


async def test_a_write_that_is_cut_short_is_complete_after_the_next_attempt(
    distant: VectorIndex, links: tuple[Link, Link], stranger: VectorIndex
) -> None:
    await distant.open()
    await distant.ensure(MODEL)
    points = make_points(2 * WRITE_CHUNK)
    for link in links:
        link.stalled = True
    with pytest.raises(StoreUnavailableError, match="write"):
        await distant.upsert(points)
    for link in links:
        link.stalled = False
        await link.down()
        await link.up()

    async with asyncio.timeout(90):
        while not await distant.is_ready():
            pass
    await distant.upsert(points)

    assert await stranger.unsearchable(points) == []


def ids_of_hits(hits: Sequence[Hit]) -> set[UUID]:
    return {hit.id for hit in hits}
