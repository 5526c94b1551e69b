"""Events on their way to waiting calls and live streams."""

from __future__ import annotations

import asyncio
import gc
import weakref
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from prometheus_client import Gauge

from gateway.feeds.hub import FeedFilter, Feeds, StreamEndedError
from gateway.feeds.inbound import Arrival
from gateway.feeds.places import Places
from gateway.health import HealthMonitor
from gateway.http.problems import ApiError
from gateway.routes.streaming import parse_feed
from gateway.settings import GatewaySettings
from gateway.settings_feeds import FeedSettings
from gateway.writes.progress import Progress
from gateway.writes.waiters import Waiters
from schemas.events import EventType, change_event, outcome_event
from schemas.history import ChangeKind, HistoryEntry, RequestOutcome, RequestStatus
from schemas.inbound import InboundEvent, decode_event
from schemas.memories import Memory
from schemas.problems import FailureReason, StoreUnavailableError
from schemas.scope import Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE = Scope("p", user_id="a/b", run_id="r")


def outcome(changes: int, **other: Any) -> RequestOutcome:
    return RequestOutcome("r1", SCOPE, "add", "h", RequestStatus.SUCCEEDED, NOW, changes, **other)


def added(index: int = 0, count: int = 1, text: str = "hello") -> InboundEvent:
    return changed(ChangeKind.ADDED, outcome(count), index, text)


def changed(kind: ChangeKind, of: RequestOutcome, index: int, text: str) -> InboundEvent:
    memory = Memory(uuid4(), SCOPE, text, 1, NOW, NOW)
    event = change_event(HistoryEntry(kind, memory, None, None, "r1", index, NOW), of)
    return decode_event(event.key.encode(), event.body, event.headers())


def failed() -> InboundEvent:
    event = outcome_event(
        RequestOutcome(
            "r1", SCOPE, "delete", "h", RequestStatus.FAILED, NOW, reason=FailureReason.NOT_FOUND, detail="no"
        )
    )
    return decode_event(event.key.encode(), event.body, event.headers())


def test_an_event_is_decoded_with_its_scope() -> None:
    event = added()
    assert event.type is EventType.ADDED
    assert event.ids == {"user_id": "a/b", "run_id": "r"}
    document = orjson.loads(event.document)
    assert document["id"] == event.id
    assert document["data"]["memory"]["text"] == "hello"


def test_an_event_without_a_memory_has_the_id_of_its_key() -> None:
    assert failed().ids == {"user_id": "a/b"}


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"{}", []),
        (
            b"not json",
            [("ce_id", b"1"), ("ce_type", b"agentmem.memory.added"), ("ce_time", b""), ("ce_source", b"")],
        ),
        (None, [("ce_id", b"1"), ("ce_type", b"agentmem.memory.added"), ("ce_time", b""), ("ce_source", b"")]),
        (b"{}", [("ce_id", b"1"), ("ce_type", b"other")]),
        (b"{}", [("ce_id", b"\xff")]),
    ],
)
def test_a_foreign_record_is_no_event(value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_event(b"k", value, headers)


async def test_a_waiter_gets_all_events_of_its_request_in_order() -> None:
    waiters = Waiters()
    with waiters.waiting("p", "r1") as waiter, waiters.waiting("p", "other") as other:
        for event in (added(1, 2, "second"), added(1, 2, "second")):
            waiters.deliver(event)
        assert not waiter.done.done()
        waiters.deliver(added(0, 2, "first"))
        progress = await waiter.done
        assert not other.done.done()
    assert [change.text for change in progress.changes] == ["first", "second"]
    assert len(waiters) == 0


async def test_a_waiter_keeps_no_event() -> None:
    waiters = Waiters()
    with waiters.waiting("p", "r1") as waiter:
        event = added(0, 2)
        kept = weakref.ref(event)
        waiters.deliver(event)
        del event
        gc.collect()
        assert kept() is None
        assert not waiter.done.done()


async def test_who_waits_for_a_delete_all_is_told_of_no_text() -> None:
    waiters = Waiters()
    delete_all = RequestOutcome("r1", SCOPE, "delete_all", "h", RequestStatus.SUCCEEDED, NOW, changes=2)
    with waiters.waiting("p", "r1") as waiter:
        for index in range(2):
            waiters.deliver(changed(ChangeKind.DELETED, delete_all, index, "large"))
        assert await waiter.done == Progress(RequestStatus.SUCCEEDED)


async def test_a_failed_request_says_why() -> None:
    waiters = Waiters()
    with waiters.waiting("p", "r1") as waiter:
        waiters.deliver(failed())
        progress = await waiter.done
    assert (progress.status, progress.reason, progress.detail) == (RequestStatus.FAILED, "not_found", "no")


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (FeedFilter("p"), True),
        (FeedFilter("q"), False),
        (FeedFilter("p", {"user_id": "a/b"}), True),
        (FeedFilter("p", {"user_id": "a/b", "run_id": "r"}), True),
        (FeedFilter("p", {"user_id": "A/B"}), False),
        (FeedFilter("p", {"app_id": "x"}), False),
        (FeedFilter("p", {}, frozenset({EventType.ADDED})), True),
        (FeedFilter("p", {}, frozenset({EventType.DELETED})), False),
    ],
)
def test_a_feed_takes_what_it_asked_for(wanted: FeedFilter, matches: bool) -> None:
    assert wanted.matches(added()) is matches


def arrived(offset: int = 0, text: str = "hello") -> Arrival:
    return Arrival(added(text=text), 0, offset, (offset + 1,))


async def test_a_slow_reader_is_cut_off_alone() -> None:
    feeds = Feeds(FeedSettings(feed_queue=2))
    slow, quick, foreign = (feeds.attach(FeedFilter(project)) for project in ("p", "p", "q"))
    for offset in range(3):
        feeds.deliver(arrived(offset))
        assert (await quick.next()).offset == offset
    with pytest.raises(StreamEndedError, match="too slowly") as caught:
        await slow.next()
    assert caught.value.cut_off
    assert quick.is_drained
    assert foreign.is_drained
    feeds.end_all()
    with pytest.raises(StreamEndedError, match="stops") as caught:
        await quick.next()
    assert not caught.value.cut_off
    for feed in (slow, quick, foreign):
        feeds.detach(feed)
    assert len(feeds) == 0


async def test_what_waits_for_a_reader_is_bounded_by_bytes() -> None:
    feeds = Feeds(FeedSettings(feed_queue=10, feed_queue_bytes=10_000))
    feed = feeds.attach(FeedFilter("p"))
    feeds.deliver(arrived(0, "x" * 20_000))
    assert (await feed.next()).offset == 0
    for offset in (1, 2):
        feeds.deliver(arrived(offset, "x" * 6_000))
    with pytest.raises(StreamEndedError):
        await feed.next()


def test_a_project_takes_its_share_of_the_places_and_no_more() -> None:
    gauge = Gauge("places", "taken", registry=None)
    places = Places(gauge)

    def shortage(project: str) -> str:
        return places.shortage(project, 5, 0.5) or ""

    for _ in range(2):
        assert not shortage("ours")
        places.take("ours")
    assert "your project has 2" in shortage("ours")
    for project in ("theirs", "theirs", "a third"):
        assert not shortage(project)
        places.take(project)
    assert "5 of all projects" in shortage("a third")
    places.free("theirs")
    assert not shortage("a third")
    for project in ("ours", "ours", "theirs", "a third"):
        places.free(project)
    assert gauge._value.get() == 0
    # A share of less than a place is one.
    assert not places.shortage("ours", 1, 0.25)


def test_a_streams_query_is_checked_by_name() -> None:
    wanted = parse_feed("p", {"user_id": "a", "type": "added,agentmem.request.failed"})
    assert wanted == FeedFilter("p", {"user_id": "a"}, frozenset({EventType.ADDED, EventType.FAILED}))
    for query in ({"usr": "a"}, {"type": "made"}, {"user_id": ""}, {"from": ""}):
        with pytest.raises(ApiError) as caught:
            parse_feed("p", query)
        assert caught.value.extra["field"] == next(iter(query))


async def test_health_follows_its_components() -> None:
    answers: list[Exception | None] = [StoreUnavailableError("Kafka", "down"), None, TimeoutError()]
    looked = asyncio.Event()

    async def probe() -> None:
        looked.set()
        if answers and (answer := answers.pop(0)) is not None:
            raise answer

    monitor = HealthMonitor({"kafka": probe}, GatewaySettings(probe_interval_s=0.01, probe_timeout_s=1))
    assert not monitor.ready
    task = asyncio.create_task(monitor.run())
    async with asyncio.timeout(30):
        for expected in (False, True, False, True):
            looked.clear()
            await looked.wait()
            await asyncio.sleep(0)
            assert monitor.ready is expected
    assert monitor.components["kafka"].latency_ms is not None
    task.cancel()
