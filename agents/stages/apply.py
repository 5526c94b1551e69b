"""apply: one transaction that locks, folds and writes. After it, Postgres knows all that the batch did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from agents import failpoints
from agents.fold import fold
from agents.items import Applied, Item, Rejected
from infra.postgres import Database
from schemas.history import RequestKey, RequestOutcome
from schemas.problems import DeadLetterReason, RecordRejectedError

STAGE: Final = "apply"


def apply(database: Database, items: Sequence[Item]) -> tuple[list[Applied], list[Rejected]]:
    """Apply ``add``, ``update`` and ``delete`` requests in order.

    Returns each request's outcome, in order, and the records that must be dead-lettered: those that use an id
    again for another request, and those that were dead-lettered before and perhaps not to the end. A request
    that was applied before changes no row, and comes back with what it did then.
    """
    with database.transaction() as transaction:
        known = transaction.outcomes(item.key for item in items)
        fresh = _fresh(items, known)
        named = (item.request.memory_id for item in fresh.values() if item.request.memory_id is not None)
        rows = transaction.memories(named)
        changes = fold(rows, [item.request for item in fresh.values()], transaction.now())
        transaction.write(list(changes.memories.values()), changes.history, changes.outcomes)
        # Of the very same requests only: who uses an id again for another one is refused, and gets nothing read.
        again = (item for item in items if item.key not in fresh)
        same = {item.key for item in again if known[item.key].hash == item.request.content_hash()}
        history = transaction.history(same)
        failpoints.passing(failpoints.IN_TRANSACTION)
    known |= {outcome.key: outcome for outcome in changes.outcomes}
    for entry in changes.history:
        history.setdefault((entry.memory.scope.project, entry.request_id), []).append(entry)

    applied: list[Applied] = []
    rejected: list[Rejected] = []
    for item in items:
        outcome = known[item.key]
        if item is not fresh.get(item.key) and (error := refusal(outcome, item)):
            rejected.append(item.rejected(error, STAGE))
        else:
            applied.append(Applied(item, outcome, history.get(item.key, []), item.key not in fresh))
    return applied, rejected


def refusal(outcome: RequestOutcome, item: Item) -> RecordRejectedError | None:
    """Why an item whose request is known already belongs in the dead-letter topic, if it does."""
    if outcome.hash != item.request.content_hash():
        detail = f"request_id {outcome.request_id} was used for another request of project {outcome.scope.project}"
        return RecordRejectedError(DeadLetterReason.REQUEST_ID_CONFLICT, detail)
    if isinstance(outcome.reason, DeadLetterReason):
        # It was set aside before; whether the dead letter had been acknowledged is not known.
        return RecordRejectedError(outcome.reason, outcome.detail or "")
    return None


def _fresh(items: Sequence[Item], known: Mapping[RequestKey, RequestOutcome]) -> dict[RequestKey, Item]:
    """The items that are still to be applied: the first of each request that is unknown or open."""
    fresh: dict[RequestKey, Item] = {}
    for item in items:
        outcome = known.get(item.key)
        if item.key in fresh or (outcome is not None and not outcome.is_open):
            continue
        # A gateway's open row may be of another request than the record that came: its own is still to come.
        if outcome is None or outcome.hash == item.request.content_hash():
            fresh[item.key] = item
    return fresh
