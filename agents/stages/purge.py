"""apply, for ``delete_all``: a barrier that works in bounded chunks, each a transaction of its own.

A crash between two chunks loses nothing: the request's row says how many memories are gone, and the same
request goes on from there.
"""

from __future__ import annotations

from dataclasses import replace

from agents import paging
from agents.fold import deletion
from agents.items import Item
from infra.postgres import Database
from schemas.history import RequestOutcome, RequestStatus


def purge(database: Database, item: Item, chunk: int = paging.MOST) -> RequestOutcome:
    """Delete at most ``chunk`` memories of the scope, fewer large ones; call it again while it is ``running``.

    Returns the outcome that stands, which may be that of another request under the same id.
    """
    request = item.request
    with database.transaction() as transaction:
        opened = RequestOutcome(
            request_id=request.request_id,
            scope=request.scope,
            op=request.op,
            hash=request.content_hash(),
            status=RequestStatus.RUNNING,
            recorded_at=transaction.now(),
            infer=request.infer,
        )
        stands = transaction.lock_request(opened)
        if stands.hash != opened.hash or not stands.is_open:
            return stands
        rows, more = transaction.live_in_scope(request.scope, chunk, request.present or ())
        now = transaction.now()
        at = request.timestamp or now
        history = [
            deletion(row, request.request_id, index, at, now)
            for index, row in enumerate(rows, start=stands.changes)
        ]
        outcome = replace(
            stands,
            status=RequestStatus.RUNNING if more else RequestStatus.SUCCEEDED,
            changes=stands.changes + len(rows),
            recorded_at=now,
        )
        transaction.write([entry.memory for entry in history], history, [outcome])
        return outcome
