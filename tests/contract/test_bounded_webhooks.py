"""Of webhooks' deliveries, too, nobody reads more than fits."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from sqlalchemy import select

from infra.postgres import Database
from infra.postgres.tables import LARGE_BODY_BYTES, webhook_deliveries
from infra.postgres.webhook_queue import Attempt, Queued
from infra.webhooks import new_secret
from schemas.redaction import REDACTED
from schemas.scope import Scope
from schemas.webhooks import Webhook
from tests.harness.memory import traced

_ROWS = 20
_LARGE = 1_000_000


def _webhook(database: Database) -> Webhook:
    return database.webhooks.create(
        "ours", name="w", url="https://x.example/", event_types=["memory_add"], secret=new_secret(), ids={}
    )


def _queued(webhook: Webhook, event: str, key: str = "k", *, large: bool = False) -> Queued:
    size = LARGE_BODY_BYTES if large else 0
    memory = {"user_id": "alice", "text": "é" * size}
    body = orjson.dumps({"data": {"memory": memory, "request_id": event}}).decode()
    return Queued(webhook.id, "ours", event, "t", key, body)


def _peak(work: Callable[[], object]) -> int:
    with traced() as memory:
        work()
    return memory.peak


def _put_large(database: Database, webhook: Webhook) -> None:
    for number in range(_ROWS):
        document = {"data": {"memory": {"user_id": "alice", "text": "x" * _LARGE}, "request_id": "r"}}
        body = orjson.dumps(document).decode()
        database.webhook_queue.put([Queued(webhook.id, "ours", f"e{number}", "t", f"k{number}", body)])


def test_the_log_is_shown_without_the_bodies(database: Database) -> None:
    mine = _webhook(database)
    _put_large(database, mine)
    log = database.webhook_log
    [latest, *_] = log.deliveries("ours", mine.id, _ROWS, 0)[1]
    for read in (
        lambda: log.deliveries("ours", mine.id, _ROWS, 0),
        lambda: log.delivery("ours", mine.id, latest.id),
    ):
        assert _peak(read) < _LARGE


def test_large_deliveries_are_redacted_one_after_the_other(database: Database) -> None:
    mine = _webhook(database)
    _put_large(database, mine)
    forgetting, scope = database.forgetting, Scope("ours", "alice")
    # To parse one, twelve times its size is set aside.
    assert _peak(lambda: forgetting.redact_requests(scope)) < _ROWS * _LARGE
    assert forgetting.redact_requests(scope) == {"requests": 0, "webhook_deliveries": 0}
    with database._connection() as connection:
        bodies = connection.execute(select(webhook_deliveries.c.body)).scalars().all()
    assert [orjson.loads(body)["data"]["memory"]["text"] for body in bodies] == [REDACTED] * _ROWS


def test_large_and_small_deliveries_wait_for_nothing_but_their_scope(database: Database) -> None:
    queue, hooks = database.webhook_queue, [_webhook(database) for _ in range(3)]
    for webhook in hooks:
        queue.put([_queued(webhook, f"large{n}", f"k{n}", large=True) for n in range(3)])
        queue.put([_queued(webhook, "behind", "k0"), _queued(webhook, "other", "other")])
    large = queue.claim(2, 1, [], 60, large=True)
    assert [[one.event_id for one in found] for _, found in large] == [["large0"], ["large0"]]
    assert all(len(one.body or b"") > LARGE_BODY_BYTES for _, found in large for one in found)
    # Other deliveries of the same webhooks are under way, without an end: the next large one goes nonetheless.
    small = queue.claim(32, 4, [], 60)
    assert [[one.event_id for one in found] for _, found in small] == [["other"]] * len(hooks)
    [(last, _)] = queue.claim(2, 1, [one.id for one, _ in large], 60, large=True)
    assert {last.id, *(one.id for one, _ in large)} == {one.id for one in hooks}
    told, [first] = large[0]
    queue.settle(told.id, [Attempt(first.id, 200, None)], lambda _: 0)
    [(_, [behind])] = queue.claim(32, 4, [], 60)
    assert (behind.webhook_id, behind.event_id) == (told.id, "behind")


@pytest.mark.parametrize("more", [0, 1])
def test_whatever_its_size_a_delivery_is_claimed_once(database: Database, more: int) -> None:
    queue, mine = database.webhook_queue, _webhook(database)
    body = "x" * (LARGE_BODY_BYTES + more)
    queue.put([Queued(mine.id, "ours", "e", "t", "k", body)])
    claims = [queue.claim(1, 1, [], 60, large=large) for large in (True, False)]
    assert [len(claimed) for claimed in claims] == [more, 1 - more]
    [(_, [delivery])] = next(filter(None, claims))
    assert delivery.body == body.encode()
