"""The rebuild, step by step: given up, gone on with after a loss, and two at once."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from agents.maintenance.rebuild import Rebuild
from agents.maintenance.rebuilt import Phase, Rebuilt
from agents.projection import Projection
from agents.stages.apply import apply
from infra.postgres.collections import CollectionState
from schemas.problems import StoreUnavailableError
from schemas.requests import MemoryRequest
from tests.harness.items import item

_COUNT = 1_200


async def add(both: Projection, count: int) -> None:
    items = [
        item(
            MemoryRequest.model_validate(
                {"request_id": str(uuid4()), "op": "add", "user_id": "alice", "text": f"number {number % 9}"}
            )
        )
        for number in range(count)
    ]
    applied, _ = apply(both.database, items)
    await both.projecting.project([entry.memory.id for one in applied for entry in one.history], {})


class StoppedError(Exception):
    """Ends a rebuild where a test wants it to end."""


def stops_after_a_page(phase: Phase, done: Rebuilt) -> None:
    if phase is Phase.FILLING and done.filled:
        raise StoppedError


def ignore(phase: Phase, done: Rebuilt) -> None:
    """Progress that nobody looks at."""


async def states(both: Projection) -> list[CollectionState]:
    known = await asyncio.to_thread(both.database.collections.of, both.index.collection)
    return [one.state for one in known]


async def objects(both: Projection) -> int:
    index = await both.projecting.serving()
    return len(await index.versions(both.database.ids_after(None, 10_000)))


async def test_what_was_interrupted_goes_on_or_is_given_up(both: Projection) -> None:
    await add(both, _COUNT)
    with pytest.raises(StoppedError):
        await Rebuild(both, "ann", 0, stops_after_a_page).run()
    assert await states(both) == [CollectionState.SERVING, CollectionState.BUILDING]
    await add(both, 1)  # is written to both

    given_up = await Rebuild(both, "ann", 0, ignore).abandon()
    assert (len(given_up.dropped), await states(both)) == (1, [CollectionState.SERVING])
    assert await objects(both) == _COUNT + 1

    with pytest.raises(StoppedError):
        await Rebuild(both, "ann", 0, stops_after_a_page).run()
    done = await Rebuild(both, "ann", 0, ignore).run()
    assert 0 < done.filled < _COUNT + 1  # the first page was there
    assert (done.dropped, await states(both)) == ([both.index.collection], [CollectionState.SERVING])
    assert await objects(both) == _COUNT + 1


@pytest.mark.parametrize("model", ["the same", "a new one"])
@pytest.mark.parametrize("again", [True, False])
async def test_what_was_killed_while_it_gave_up_is_cleared_up_and_can_be_built(
    both: Projection, model: str, again: bool
) -> None:
    await add(both, 3)
    collections, base = both.database.collections, both.index.collection
    if model == "a new one":
        with both.database._connection() as connection:
            connection.execute(text("UPDATE search_collections SET model = 'another'"))
    left = f"{base}_left"
    collections.register(left, base, str(both.model), CollectionState.BUILDING)
    await both.index.at(left).ensure(both.model)
    collections.advance(left, CollectionState.BUILDING, CollectionState.DROPPING)  # killed here

    if again:
        assert (await Rebuild(both, "ann", 0, ignore).abandon()).dropped == [left]
        assert await states(both) == [CollectionState.SERVING]
    done = await Rebuild(both, "ann", 0, ignore).run()

    assert (done.filled, done.switched) == (3, True)
    assert left not in [one.name for one in collections.of(base)]
    assert await both.index.at(left).made_by() is None
    assert await objects(both) == 3


async def test_a_collection_that_weaviate_lost_meanwhile_is_filled_from_the_beginning(both: Projection) -> None:
    await add(both, _COUNT)
    with pytest.raises(StoppedError):
        await Rebuild(both, "ann", 0, stops_after_a_page).run()
    for known in both.database.collections.of(both.index.collection):
        await both.index.at(known.name).drop()
    with pytest.raises(StoreUnavailableError):
        await (await both.projecting.serving()).versions([uuid4()])

    done = await Rebuild(both, "ann", 0, ignore).run()

    assert done.filled == _COUNT
    assert await objects(both) == _COUNT


async def test_a_second_one_that_knows_nothing_of_the_first_does_no_harm(both: Projection) -> None:
    """Only one runs at a time, as long as its connection holds: here it did not."""
    await add(both, _COUNT)
    first, second = Rebuild(both, "ann", 0, ignore), Rebuild(both, "ann", 0, ignore)
    results = await asyncio.gather(first.run(), second.run(), return_exceptions=True)
    assert not [result for result in results if isinstance(result, BaseException)], results
    await Rebuild(both, "ann", 0, ignore).run()
    assert (await states(both)).count(CollectionState.SERVING) == 1
    assert await objects(both) == _COUNT
