"""Forgetting a scope: its memories are deleted through the stream, and then their contents leave every table.

The order makes it safe beside a running system. Everything that was published before is applied first, whatever
partition it lies in; then the memories are deleted by a ``delete_all`` as anybody else's would be, so that log and
events tell of it; what is redacted then belongs to deleted memories, which no request can bring back. A process
that dies on the way leaves the scope as far as it came: to forget it again goes on from there. That it was begun
stands in the audit before anything is erased, and from then on no dead letter of before is replayed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from agents.maintenance.catching_up import caught_up
from agents.maintenance.forgotten import FORGET, START, forget_entry
from infra.postgres import Database
from infra.postgres.collections import WRITTEN
from infra.weaviate import VectorIndex
from schemas.history import RequestStatus
from schemas.problems import StalledError
from schemas.requests import MemoryRequest
from schemas.scope import Scope
from streams.lag import LagReader
from streams.producer import Producer, acknowledged

#: How often the scope is deleted while somebody goes on adding to it.
_ROUNDS: Final = 5
_POLL_S: Final = 0.5

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stores:
    """What forgetting needs. ``webhooks`` reads how far events were taken in for webhooks; None: nobody does."""

    database: Database
    index: VectorIndex
    producer: Producer
    topic: str
    requests: LagReader
    webhooks: LagReader | None


class Forget:
    """Forgets scopes. ``stall_s``: how long nothing may move before it gives up."""

    def __init__(self, stores: Stores, actor: str, stall_s: float, tell: Tell) -> None:
        self._stores = stores
        self._database = stores.database
        self._actor = actor
        self._stall_s = stall_s
        self._tell = tell

    async def run(self, scope: Scope) -> Counter[str]:
        """Forget all memories of a scope that were published before; by table, how many rows were changed.

        Raises ``StalledError`` when no worker is at work, or somebody goes on adding memories.
        """
        await self._applied(scope)
        # Nothing is erased yet; and what was set aside until here is not replayed from here on. What is being
        # replayed lies in the log before that is written down, so the next look at the log sees it.
        await asyncio.to_thread(
            self._database.forgetting.begin, scope.project, forget_entry(START, scope, self._actor)
        )
        done = Counter(deleted=await self._delete(scope))
        if self._stores.webhooks is not None:
            self._tell("waiting for the webhooks' queue")
            await caught_up(self._stores.webhooks, self._stall_s)
        forgetting = self._database.forgetting
        pages = forgetting.ids(scope)
        try:
            while ids := await asyncio.to_thread(next, pages, None):
                done.update(await asyncio.to_thread(forgetting.redact, scope.project, ids))
                await self._remove_objects(ids)
                self._tell(f"{done['memories']} memories redacted")
        finally:
            with suppress(ValueError):  # who is cancelled may leave it at work, until the database is closed
                pages.close()
        while any((changed := await asyncio.to_thread(forgetting.redact_requests, scope)).values()):
            done.update(changed)
        await asyncio.to_thread(self._database.audit.record, forget_entry(FORGET, scope, self._actor, **done))
        return done

    async def _delete(self, scope: Scope) -> int:
        """Delete all that lives; returns how many memories that were."""
        deleted = 0
        for _ in range(_ROUNDS):
            await self._applied(scope)
            if not await asyncio.to_thread(self._database.forgetting.live, scope):
                return deleted
            deleted += await self._delete_all(scope)
        raise StalledError("somebody goes on adding memories to this scope: stop that, and forget it again")

    async def _applied(self, scope: Scope) -> None:
        """Wait until all that was published is applied, and all that a gateway has accepted too."""
        await caught_up(self._stores.requests, self._stall_s, lambda left: self._tell(f"{left} records wait"))
        deadline = asyncio.get_running_loop().time() + self._stall_s
        while count := await asyncio.to_thread(self._database.forgetting.accepted, scope):
            self._tell(f"{count} accepted requests wait")
            if asyncio.get_running_loop().time() > deadline:
                raise StalledError(f"{count} requests of this scope are accepted and not applied")
            await asyncio.sleep(_POLL_S)

    async def _delete_all(self, scope: Scope) -> int:
        request = MemoryRequest.model_validate(
            {"request_id": f"forget:{uuid4()}", "op": "delete_all", "project": scope.project, **scope.ids}
        )
        stores = self._stores
        sent = await stores.producer.send(stores.topic, key=scope.key.encode(), value=request.to_json())
        await acknowledged([sent])
        # What is committed has left Weaviate and was announced, too.
        await caught_up(stores.requests, self._stall_s, lambda left: self._tell(f"{left} records wait"))
        outcome = await asyncio.to_thread(self._database.outcome, request.project, request.request_id)
        if outcome is None or outcome.status is not RequestStatus.SUCCEEDED:
            raise StalledError(f"the memories could not be deleted: see the dead letter of {request.request_id}")
        return outcome.changes

    async def _remove_objects(self, ids: Sequence[UUID]) -> None:
        """What was deleted long ago may have left an object behind, in whatever collection."""
        base = self._stores.index.collection
        known = await asyncio.to_thread(self._database.collections.of, base)
        current = await asyncio.to_thread(self._database.current, ids)
        gone = [id for id in ids if id not in current or current[id].deleted_at is not None]
        for name in [one.name for one in known if one.state in WRITTEN] if known else [base]:
            await self._stores.index.at(name).delete(gone, verify=True)
