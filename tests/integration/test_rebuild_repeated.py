"""A rebuild that did all and never said so, and what the audit has of all of them."""

from __future__ import annotations

import pytest
from weaviate.classes.config import Reconfigure

from agents.maintenance.rebuild import Rebuild
from agents.maintenance.rebuilt import Rebuilt
from agents.projection import Projection
from infra.postgres.audit import AuditEntry
from infra.postgres.collections import CollectionState
from tests.integration.test_rebuild import StoppedError, add, ignore, objects, stops_after_a_page


async def never_told(both: Projection) -> Rebuilt:
    """A rebuild that did all and was killed before it had said so."""
    await add(both, 3)
    done = await Rebuild(both, "ann", 0, ignore).run()
    assert (done.filled, done.built_before) == (3, False)
    return done


async def test_what_was_done_and_not_told_is_told_and_the_next_one_builds(both: Projection) -> None:
    first = await never_told(both)
    for _ in range(2):  # as often as it is killed again
        again = Rebuild(both, "bob", 0, ignore)
        done = await again.run()
        assert (done.built_before, done.collection, done.filled) == (True, first.collection, 0)
    await again.finish()
    another = await Rebuild(both, "bob", 0, ignore).run()
    assert (another.built_before, another.filled, another.dropped) == (False, 3, [first.collection])
    assert await objects(both) == 3


async def test_an_index_with_other_settings_is_built_anew(both: Projection) -> None:
    first = await never_told(both)
    known = both.index._connected.collections.use(first.collection)
    other = Reconfigure.VectorIndex.hnsw(dynamic_ef_max=499)
    await known.config.update(vector_config=Reconfigure.Vectors.update(vector_index_config=other))
    done = await Rebuild(both, "bob", 0, ignore).run()
    assert (done.built_before, done.filled, done.dropped) == (False, 3, [first.collection])


async def test_an_index_that_weaviate_lost_after_the_switch_is_built_anew(both: Projection) -> None:
    first = await never_told(both)
    await both.index.at(first.collection).drop()
    done = await Rebuild(both, "bob", 0, ignore).run()
    assert (done.built_before, done.filled) == (False, 3)
    assert await objects(both) == 3


async def test_the_audit_has_every_step_once(both: Projection) -> None:
    await add(both, 3)
    old, model = both.index.collection, str(both.model)

    def entries(collection: str) -> list[AuditEntry]:
        return both.database.audit.of([f"rebuild/{collection}"])

    with pytest.raises(StoppedError):
        await Rebuild(both, "ann", 0, stops_after_a_page).run()
    work = Rebuild(both, "bob", 0, ignore)
    done = await work.run()
    await work.finish()

    assert [(one.action, one.actor, one.project) for one in entries(done.collection)] == [
        ("rebuild.start", "ann", None),
        ("rebuild.switch", "bob", None),
        ("rebuild.finish", "bob", None),
    ]
    started, switched, finished = [one.detail for one in entries(done.collection)]
    about = {"index": old, "model": model}
    assert started == about | {"serving": {old: model}}
    assert switched == about | {"served": {old: model}}
    assert finished == about | {"filled": 0, "caught_up": done.caught_up, "refused": 0, "dropped": [old]}
    [dropped] = entries(old)
    assert (dropped.action, dropped.actor, dropped.detail) == (
        "rebuild.drop",
        "bob",
        about | {"was": CollectionState.RETIRING},
    )


async def test_the_audit_has_what_was_given_up(both: Projection) -> None:
    await add(both, 3)
    with pytest.raises(StoppedError):
        await Rebuild(both, "ann", 0, stops_after_a_page).run()
    work = Rebuild(both, "bob", 0, ignore)
    given_up = await work.abandon()
    await work.finish()
    entries = both.database.audit.of([f"rebuild/{one}" for one in given_up.dropped])
    assert [(one.action, one.actor, one.detail.get("was")) for one in entries] == [
        ("rebuild.start", "ann", None),
        ("rebuild.drop", "bob", CollectionState.BUILDING),
    ]
