"""A readable request that is dead-lettered still gets an answer: its row says FAILED, and an event tells why."""

from __future__ import annotations

from dataclasses import replace

from agents.items import Rejected
from infra.postgres import Database, Transaction
from infra.postgres.writes import opened
from schemas.history import RequestOutcome, RequestStatus
from schemas.problems import DeadLetterReason, RecordRejectedError


def reject(database: Database, rejected: Rejected) -> RequestOutcome | None:
    """Note the failure; returns the outcome to announce, or None when another outcome of that id stands."""
    error = rejected.error
    if rejected.item is None or error.reason is DeadLetterReason.REQUEST_ID_CONFLICT:
        return None
    with database.transaction() as transaction:
        return fail(transaction, opened(rejected.item.request, transaction.now()), error)


def fail(transaction: Transaction, asked: RequestOutcome, error: RecordRejectedError) -> RequestOutcome | None:
    """Close a request that is open or unknown; returns as :func:`reject` does."""
    outcome = replace(asked, status=RequestStatus.FAILED, reason=error.reason, detail=error.detail)
    stands = transaction.outcomes([outcome.key]).get(outcome.key)
    if stands is None or (stands.is_open and stands.hash == outcome.hash):
        transaction.write([], [], [outcome])
        return outcome
    return stands if stands.hash == outcome.hash and stands.reason == outcome.reason else None
