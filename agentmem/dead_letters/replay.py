"""Publishing a dead letter's record again, so that whatever comes of it the same replay again is harmless.

Its identity sees to that: the record keeps its bytes and its request id. A request that failed is opened again
before (see ``infra.postgres.reopening``), one that stands is announced again. Should this process die in between,
the request is open and workers publish it, or the dead letter is still listed and can be replayed again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agentmem.dead_letters.selection import REOPENED, REPLAYED, entry
from agents.maintenance.forgotten import is_forgotten
from agents.maintenance.unredacted import unredacted
from agents.stages.decode import decode
from infra.postgres import Database
from infra.postgres.reopening import Standing
from schemas.problems import RecordRejectedError
from schemas.redaction import REDACTED
from schemas.requests import MemoryRequest
from streams.dead_letter_log import DeadLetter
from streams.producer import Producer, acknowledged
from streams.records import Record


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a replay went: ``refused`` says why it was not done. ``reopened``: the request had failed."""

    id: str
    request_id: str | None
    reopened: bool = False
    refused: str | None = None


class _RefusedError(Exception):
    """Why a replay would do no good."""


class Replayer:
    """Replays dead letters into the request topic; with ``dry_run`` it only says what would be done."""

    def __init__(
        self, database: Database, producer: Producer, topic: str, max_bytes: int, actor: str, *, dry_run: bool
    ) -> None:
        self._database = database
        self._producer = producer
        self._topic = topic
        self._max_bytes = max_bytes
        self._actor = actor
        self._dry_run = dry_run

    async def replay(self, letter: DeadLetter, edited: bytes | None = None) -> Replayed:
        """Publish the record as it was, or with ``edited`` as its value."""
        value = letter.record.value if edited is None else edited
        try:
            request = self._request(letter, value)
            async with unredacted(self._database, request.project) as still:
                if await asyncio.to_thread(self._is_forgotten, request, letter):
                    raise _RefusedError("its scope was forgotten since")
                await still()
                standing = await self._open(letter, request)
                if not self._dry_run:
                    await still()
                    await self._publish(letter, request, value, edited is not None)
        except _RefusedError as error:
            return Replayed(letter.id, letter.request_id, refused=str(error))
        return Replayed(letter.id, request.request_id, reopened=standing is Standing.FAILED)

    def _request(self, letter: DeadLetter, value: bytes | None) -> MemoryRequest:
        if not letter.is_whole:
            raise _RefusedError(f"its record was too large for this topic: it may still be at {letter.source}")
        try:
            return decode(Record(self._topic, 0, 0, 0.0, letter.record.key, value), self._max_bytes)
        except RecordRejectedError as error:
            raise _RefusedError(f"it would be set aside again: {error}") from error

    async def _open(self, letter: DeadLetter, request: MemoryRequest) -> Standing:
        reopening = self._database.reopening
        if self._dry_run:
            standing = await asyncio.to_thread(reopening.standing, request)
        else:
            reopened = entry(letter, REOPENED, self._actor)
            standing = await asyncio.to_thread(reopening.reopen, request, reopened)
        if standing is Standing.CONFLICT:
            raise _RefusedError(f"request_id {request.request_id} stands for another request: give it another one")
        return standing

    def _is_forgotten(self, request: MemoryRequest, letter: DeadLetter) -> bool:
        scopes = [request.scope]
        if request.memory_id is not None:
            # It need not say whose the memory is.
            stored = self._database.current([request.memory_id]).get(request.memory_id)
            if stored is not None:
                if stored.text == REDACTED:
                    return True
                scopes.append(stored.scope)
        return any(is_forgotten(self._database, scope, letter.at) for scope in scopes)

    async def _publish(
        self, letter: DeadLetter, request: MemoryRequest, value: bytes | None, edited: bool
    ) -> None:
        # An edit may have given it another scope, which orders it; a request without one keeps what it has.
        key = request.scope.key.encode() if edited and request.scope.ids else letter.record.key
        sent = await self._producer.send(self._topic, key=key, value=value, headers=letter.own_headers)
        await acknowledged([sent])
        done = entry(letter, REPLAYED, self._actor, edited=edited, sent_as=request.request_id)
        await asyncio.to_thread(self._database.audit.record, done)
