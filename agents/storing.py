"""The second half of the pipeline: apply, project, announce. What it has done for a batch is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from agents import failpoints, paging
from agents.changes import changes_before, changes_of
from agents.isolation import Isolation
from agents.items import Applied, Item, Rejected
from agents.preparing import Prepared
from agents.segments import segments
from agents.stages import announce, project
from agents.stages.announce import AnnounceStage
from agents.stages.apply import STAGE as APPLY
from agents.stages.apply import apply, refusal
from agents.stages.project import ProjectStage
from agents.stages.purge import purge
from agents.stages.reject import reject
from agents.waiting import Waiting
from infra.postgres import Database
from infra.telemetry import tracing
from infra.telemetry.metrics import DEAD_LETTERS, RECORDS
from schemas.events import Event, change_event, outcome_event
from schemas.history import RequestKey, RequestOutcome, RequestStatus

_log = structlog.get_logger(__name__)

T = TypeVar("T")
Check = Callable[[], None]


class Storing:
    """apply, project, announce; and the dead letters of every stage."""

    def __init__(
        self, database: Database, projecting: ProjectStage, announcing: AnnounceStage, waiting: Waiting
    ) -> None:
        self._waiting = waiting
        self._database = database
        self._projecting = projecting
        self._announcing = announcing
        self._apply_isolation = Isolation(APPLY)
        self._project_isolation = Isolation(project.STAGE)

    async def store(self, prepared: Prepared, check: Check) -> None:
        """Make a batch durable. ``check`` raises ``RevokedError`` when its partitions are gone."""
        keys = {item.key for item in prepared.items}
        in_order: list[Item | Rejected] = [*prepared.items]
        for rejected in prepared.rejected:
            # One that shares its request id with a good record keeps its place in the log: the first one stands.
            if rejected.item is not None and rejected.item.key in keys:
                in_order.append(rejected)
            else:
                await self._set_aside(rejected, check)
        if len(in_order) > len(prepared.items):
            place = {id(record): number for number, record in enumerate(prepared.batch.records)}
            in_order.sort(key=lambda one: place[id(one.record)])
        for part in segments(in_order, await self._held(prepared.items, check)):
            if isinstance(part, Rejected):
                await self._set_aside(part, check)
            elif isinstance(part, Item):
                await self._store_barrier(part, check)
            else:
                await self._store_segment(part, prepared, check)

    async def _held(self, items: Sequence[Item], check: Check) -> dict[RequestKey, int]:
        named = {item.key: item.request.memory_id for item in items if item.request.memory_id is not None}
        return await self._on_thread(APPLY, partial(self._database.held, named), check) if named else {}

    async def _store_segment(self, items: Sequence[Item], prepared: Prepared, check: Check) -> None:
        applied: list[Applied] = []
        rejected: list[Rejected] = []

        async def apply_part(part: Sequence[Item]) -> None:
            with tracing.stage(APPLY, [item.span for item in part]):
                done, refused = await self._on_thread(APPLY, partial(apply, self._database, part), check)
            applied.extend(done)
            rejected.extend(refused)

        async def project_part(part: Sequence[Applied]) -> None:
            ids = {entry.memory.id for one in part for entry in one.history}
            verify = any(one.repeated for one in part)
            work = partial(self._projecting.project, ids, prepared.vectors, verify=verify)
            with tracing.stage(project.STAGE, [one.item.span for one in part]):
                await self._waiting.out(project.STAGE, work, check)

        for item, error in await self._apply_isolation.run(items, apply_part):
            rejected.append(item.rejected(error, APPLY))
        failpoints.passing("after-apply")
        failed = await self._project_isolation.run(applied, project_part)
        failpoints.passing("after-project")
        # Their outcome stands in Postgres and is announced; the dead letter says that search lacks the change.
        rejected += [one.item.rejected(error, project.STAGE) for one, error in failed]
        with tracing.stage(announce.STAGE, [one.item.span for one in applied]):
            await self._waiting.out(announce.STAGE, partial(self._announcing.announce, applied), check)
        for one in rejected:
            await self._set_aside(one, check)
        failpoints.passing("after-announce")
        repeated = sum(one.repeated for one in applied)
        RECORDS.labels("repeated").inc(repeated)
        RECORDS.labels("applied").inc(len(applied) - repeated)

    async def _store_barrier(self, item: Item, check: Check) -> None:
        known = await self._on_thread(APPLY, partial(self._database.outcome, *item.key), check)
        repeated = known is not None and known.status is not RequestStatus.ACCEPTED
        done: list[RequestOutcome] = []

        async def purge_all(_: Sequence[Item]) -> None:
            outcome: RequestOutcome | None = None
            chunk = paging.FIRST
            while outcome is None or outcome.is_open:
                before = 0 if outcome is None else outcome.changes
                with tracing.stage(APPLY, [item.span]):
                    outcome = await self._on_thread(APPLY, partial(purge, self._database, item, chunk), check)
                chunk = paging.after(outcome.changes - before)
                if error := refusal(outcome, item):
                    raise error
                failpoints.passing("after-apply")
            done.append(outcome)

        for _, error in await self._apply_isolation.run([item], purge_all):
            await self._set_aside(item.rejected(error, APPLY), check)
        for outcome in done:
            await self._announce_barrier(item, outcome, repeated, check)
            RECORDS.labels("repeated" if repeated else "applied").inc()

    async def _announce_barrier(self, item: Item, outcome: RequestOutcome, repeated: bool, check: Check) -> None:
        def call(work: Callable[[], T]) -> Awaitable[T]:
            return self._on_thread(APPLY, work, check)

        async for history in changes_of(self._database, outcome, call):
            ids = [entry.memory.id for entry in history]
            work = partial(self._projecting.project, ids, {}, verify=repeated)
            with tracing.stage(project.STAGE, [item.span]):
                await self._waiting.out(project.STAGE, work, check)
            failpoints.passing("after-project")
            # Memories of another key may be another worker's, which has applied a change of theirs and not yet
            # announced it: that event must not come after this one. It may come twice.
            others = [entry.memory.id for entry in history if entry.memory.scope.key != outcome.scope.key]
            if others:
                async for before in changes_before(self._database, others, outcome, call):
                    await self._send([change_event(*change) for change in before], None, check)
            await self._send(announce.events_of(outcome, history), item, check)
            failpoints.passing("after-announce")

    async def _set_aside(self, rejected: Rejected, check: Check) -> None:
        item, outcome = rejected.item, None
        if item is not None:
            outcome = await self._on_thread(rejected.stage, partial(reject, self._database, rejected), check)
        with tracing.stage(announce.STAGE, [rejected.span]):
            await self._waiting.out(announce.STAGE, partial(self._announcing.set_aside, rejected), check)
        if outcome is not None:
            await self._send([outcome_event(outcome)], item, check)
        _log_dead_letter(rejected)
        rejected.error.__cause__ = None  # told of, with the frames that it holds
        DEAD_LETTERS.labels(rejected.error.reason, rejected.stage).inc()
        RECORDS.labels("dead_lettered").inc()

    async def _send(self, events: Sequence[Event], item: Item | None, check: Check) -> None:
        """Send events, in the trace of an item if they are its own."""
        traced = [(event, item.traceparent if item else None) for event in events]
        with tracing.stage(announce.STAGE, [item.span if item else None]):
            await self._waiting.out(announce.STAGE, partial(self._announcing.send, traced), check)

    async def _on_thread(self, stage: str, work: Callable[[], T], check: Check) -> T:
        return await self._waiting.out(stage, lambda: asyncio.to_thread(work), check)


def _log_dead_letter(rejected: Rejected) -> None:
    record, item, unexpected = rejected.record, rejected.item, rejected.error.__cause__
    log = _log.error if unexpected else _log.warning
    log(
        "dead letter",
        reason=rejected.error.reason.value,
        stage=rejected.stage,
        source=f"{record.topic}/{record.partition}/{record.offset}",
        project=item.request.project if item else None,
        request_id=item.request.request_id if item else None,
        trace_id=tracing.trace_id_of(rejected.span) if rejected.span else None,
        exc_info=unexpected,
    )
