"""The rebuild: a new collection filled from Postgres while the old one serves, then put in its place.

For a damaged index, for other settings of the index, and for another model. No write is lost and no search fails,
whoever is killed or paused in the middle:

- A collection that is being filled is recorded in Postgres (state ``building``) before the first page is read. A
  worker projects a batch after its rows are committed, and reads from Postgres, together with the rows, which
  collections are written to. If it read that before the record was there, its rows were committed before, too:
  the pages, read later, have them. If it read it afterwards, it writes to both. There is no third case, and no
  worker has to be told anything: also one that was paused for an hour in the middle of a batch.
- Such a worker may write an old version over a newer one when it wakes up. It reads the versions again after it
  has written, as ever, and mends that; so does a page of the fill. Deleted rows are in the pages, so that what the
  fill wrote a moment too late, before it was killed, is deleted when it goes on.
- Workers of another model cannot write to the new collection. What they changed meanwhile is caught up by the
  time of the change, behind which nothing can appear any more (``settled_moment``), until next to nothing is left.
  From there on the sweep of the workers with the new model takes over: it begins where the catching up ended.
- The switch is one transaction: the new collection is ``serving``, the old one ``retiring``. Gateways look for
  that every other second. The old one is still written to, so whoever searches it finds everything; it is dropped
  after a while, and a gateway that slept through all of it looks again when its collection is gone.
- Killed anywhere, it goes on when it is started again: every step is recorded before or after it in such a way
  that doing it twice does no harm. All pages are read back: the killed one may have left objects without vectors.
- Killed after the switch, it only clears up when it is started again: the audit has the switch, written in its
  transaction, and no ``finish``, which is written when the result was told. Unless a new collection would not be
  made like the one that serves: then this is no repetition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from agents import failpoints
from agents.maintenance.filling import Filling
from agents.maintenance.patience import Patience
from agents.maintenance.planned import BEGUN, Plan, given_up, of_model, of_other_models, rebuilding
from agents.maintenance.rebuilt import Phase, Rebuilt, Step, is_unfinished, rebuild_entry
from agents.maintenance.settling import settled_moment
from agents.projection import Projection
from infra.postgres.audit import AuditEntry
from infra.postgres.collections import CollectionState, SearchCollection
from infra.weaviate import VectorIndex


class Rebuild:
    """``keep_s``: how long the old collection is kept after the switch. ``tell`` hears of all progress."""

    def __init__(
        self, projection: Projection, actor: str, keep_s: float, tell: Callable[[Phase, Rebuilt], None]
    ) -> None:
        self._projection = projection
        self._database = projection.database
        self._collections = projection.database.collections
        self._index = projection.index
        self._model = projection.model
        self._actor = actor
        self._keep_s = keep_s
        self._tell = tell
        self._done = Rebuilt()
        self._patience = Patience(lambda: tell(Phase.WAITING, self._done))
        self._call, self._patiently = self._patience.call, self._patience.until_done

    async def run(self) -> Rebuilt:
        """Do it all, or what is left of one that was interrupted. A store that is down is waited for."""
        # Asked first: what Weaviate has lost is made anew by the next line, and must be filled.
        built = await self._built_before()
        await self._patiently(self._record_what_is_there)
        await self._drop(await self._mine(), CollectionState.DROPPING)
        if built is None:
            await self._build()
        else:
            self._done.collection, self._done.built_before = built, True
        await self._retire()
        failpoints.passing("after-drop")
        return self._done

    async def finish(self) -> None:
        """Write down that the result was told: who runs a rebuild from here on wants another one."""
        done = self._done
        if done.collection:
            numbers = {"filled": done.filled, "caught_up": done.caught_up, "refused": len(done.refused)}
            finished = self._entry(Step.FINISH, done.collection, dropped=done.dropped, **numbers)
            await self._call(self._database.audit.record, finished)

    async def abandon(self) -> Rebuilt:
        """Drop what was built so far for this model; what serves goes on as if nothing had been."""
        await self._drop(given_up(await self.known(), str(self._model)), *CollectionState)
        return self._done

    async def drop_other_models(self) -> Rebuilt:
        """Drop the collections of all other models: their workers and gateways must be gone."""
        await self._drop(of_other_models(await self.known(), str(self._model)), *CollectionState)
        return self._done

    async def plan(self) -> Plan:
        """What :meth:`run` would do."""
        known = await self.known()
        planned = rebuilding(known, str(self._model), await self._built_before())
        unrecorded = not known and await self._patiently(self._index.made_by) == self._model
        return replace(planned, would_drop=[self._index.collection]) if unrecorded else planned

    async def known(self) -> list[SearchCollection]:
        """What is recorded of the index."""
        return await self._call(self._collections.of, self._index.collection)

    async def _built_before(self) -> str | None:
        """The collection that serves, if an interrupted command built it as this one would."""
        for one in await self._mine():
            if one.state is CollectionState.SERVING and await self._call(is_unfinished, self._database, one.name):
                as_now = await self._patiently(partial(self._at(one.name).is_as_made_now, self._model))
                return one.name if as_now else None
        return None

    async def _record_what_is_there(self) -> None:
        """An index that no worker of this version has opened yet is recorded under the model that made it."""
        base = self._index.collection
        known = await self.known()
        if not known:
            if (made_by := await self._index.made_by()) is None:
                made_by = self._model
                await self._index.ensure(made_by)
            await self._call(self._collections.register, base, base, str(made_by), CollectionState.SERVING)
        for one in known:
            # What is written to has to be there, even when Weaviate lost it: or the workers wait for it.
            if one.model == str(self._model) and one.state is CollectionState.SERVING:
                await self._at(one.name).ensure(self._model)

    async def _build(self) -> None:
        planned = [one for one in await self._mine() if one.state in BEGUN]
        if planned:
            name, filled_to, since = planned[-1].name, planned[-1].filled_to, planned[-1].created_at
        else:
            name, filled_to = f"{self._index.collection}_{datetime.now(UTC):%Y%m%dT%H%M%S%f}", None
            base, model = self._index.collection, str(self._model)
            started = self._entry(Step.START, name, serving=await self._serving())
            await self._call(self._collections.register, name, base, model, CollectionState.PLANNED, started)
            since = next(one.created_at for one in await self._mine() if one.name == name)
        self._done.collection = name
        target = self._at(name)
        if await self._patiently(target.made_by) is None:
            filled_to = None  # it was not made yet, or Weaviate lost it
        await self._patiently(lambda: target.ensure(self._model))
        await self._call(self._collections.advance, name, CollectionState.PLANNED, CollectionState.BUILDING)
        await self._patiently(lambda: settled_moment(self._database))
        filling = Filling(self._projection, target, self._patience, self._done, self._tell)
        await filling.fill(filled_to)
        until = await filling.catch_up(since)
        switched = self._entry(Step.SWITCH, name, served=await self._serving())
        await self._call(self._collections.switch, name, until, switched)
        self._done.switched = True
        failpoints.passing("after-switch")

    async def _retire(self) -> None:
        known = await self._mine()
        if any(one.state is CollectionState.RETIRING for one in known):
            self._tell(Phase.RETIRING, self._done)
            await asyncio.sleep(self._keep_s)
        await self._drop(known, CollectionState.RETIRING, CollectionState.DROPPING)

    async def _drop(self, known: Sequence[SearchCollection], *states: CollectionState) -> None:
        """First nobody writes to it any more, then it goes, then what is known of it."""
        for one in known:
            if one.state in states:
                dropped = self._entry(Step.DROP, one.name, model=one.model, was=one.state)
                if one.state is not CollectionState.DROPPING:
                    await self._call(
                        self._collections.advance, one.name, one.state, CollectionState.DROPPING, dropped
                    )
                failpoints.passing("before-drop")
                await self._patiently(self._at(one.name).drop)
                await self._call(self._collections.forget, one.name)
                self._done.dropped.append(one.name)

    async def _serving(self) -> dict[str, str]:
        """The collections that serve, with their models."""
        return {one.name: one.model for one in await self.known() if one.state is CollectionState.SERVING}

    def _entry(self, step: Step, collection: str, **detail: Any) -> AuditEntry:
        about = {"index": self._index.collection, "model": str(self._model)}
        return rebuild_entry(step, collection, self._actor, **{**about, **detail})

    async def _mine(self) -> list[SearchCollection]:
        return of_model(await self.known(), str(self._model))

    def _at(self, name: str) -> VectorIndex:
        return self._index.at(name, self._model.dimension)
