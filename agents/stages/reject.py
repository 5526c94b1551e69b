"""A readable request that is dead-lettered still gets an answer: its row says FAILED, and an event tells why."""

from __future__ import annotations

from agents.items import Rejected
from infra.postgres import Database
from schemas.history import RequestOutcome, RequestStatus
from schemas.problems import DeadLetterReason


def reject(database: Database, rejected: Rejected) -> RequestOutcome | None:
    """Note the failure; returns the outcome to announce, or None when another outcome of that id stands."""
    error = rejected.error
    if rejected.item is None or error.reason is DeadLetterReason.REQUEST_ID_CONFLICT:
        return None
    request = rejected.item.request
    with database.transaction() as transaction:
        outcome = RequestOutcome(
            request_id=request.request_id,
            scope=request.scope,
            op=request.op,
            hash=request.content_hash(),
            status=RequestStatus.FAILED,
            recorded_at=transaction.now(),
            infer=request.infer,
            memory_id=request.memory_id,
            reason=error.reason,
            detail=error.detail,
        )
        stands = transaction.outcomes([outcome.key]).get(outcome.key)
        if stands is None or (stands.is_open and stands.hash == outcome.hash):
            transaction.write([], [], [outcome])
            return outcome
        return stands if stands.hash == outcome.hash and stands.reason == outcome.reason else None
