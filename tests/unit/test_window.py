"""When a window closes, and how it pushes back."""

from __future__ import annotations

import asyncio

import pytest

from streams import window as module
from streams.records import Record
from streams.settings import WindowSettings
from streams.window import Window


def record(offset: int, size: int = 1, partition: int = 0) -> Record:
    return Record("t", partition, offset, 0.0, None, b"x" * size)


class Flow:
    """Notes what the window asks of the stream."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def window(self, **settings: float) -> Window:
        return Window(
            WindowSettings.model_validate(settings),
            pause=lambda: self.calls.append("pause"),
            resume=lambda: self.calls.append("resume"),
        )


async def test_a_full_window_closes_at_once_by_count() -> None:
    window = Flow().window(max_records=3, max_wait_ms=60_000)
    for offset in range(7):
        window.put(record(offset))
    sizes = [len((await window.batch()).records) for _ in range(2)]
    assert sizes == [3, 3]
    assert window.depth == 1


async def test_a_full_window_closes_at_once_by_bytes() -> None:
    window = Flow().window(max_bytes=1024, max_wait_ms=60_000)
    for offset in range(3):
        window.put(record(offset, size=500))
    assert [one.offset for one in (await window.batch()).records] == [0, 1]


async def test_many_small_objects_make_a_record_weigh_more() -> None:
    window = Flow().window(max_bytes=100_000, max_wait_ms=60_000)
    for offset in range(3):
        window.put(Record("t", 0, offset, 0.0, None, b"[%s]" % b",".join([b"{}"] * 150)))
    assert [one.offset for one in (await window.batch()).records] == [0, 1]


async def test_a_record_larger_than_the_window_travels_alone() -> None:
    window = Flow().window(max_bytes=1024, max_wait_ms=0)
    window.put(record(0, size=5_000))
    window.put(record(1))
    assert [one.offset for one in (await window.batch()).records] == [0]
    assert [one.offset for one in (await window.batch()).records] == [1]


async def test_the_clock_starts_with_the_first_record() -> None:
    window = Flow().window(max_wait_ms=200)
    waiting = asyncio.create_task(window.batch())
    loop = asyncio.get_running_loop()
    started = loop.time()
    window.put(record(0))
    loop.call_later(0.05, window.put, record(1))
    batch = await waiting
    assert [one.offset for one in batch.records] == [0, 1]
    assert loop.time() - started >= 0.2


async def test_a_backlog_does_not_wait_again() -> None:
    window = Flow().window(max_records=10, max_wait_ms=60_000)
    window.put(record(0))
    # Its time is long past when somebody asks.
    window._records[0] = (asyncio.get_running_loop().time() - 61, *window._records[0][1:])
    async with asyncio.timeout(30):
        assert len((await window.batch()).records) == 1


async def test_too_much_waiting_pauses_the_stream_and_taking_it_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HIGH_RECORDS", 10)
    flow = Flow()
    window = flow.window(max_records=4, max_wait_ms=0)
    for offset in range(12):
        window.put(record(offset))
    assert flow.calls == ["pause"]
    await window.batch()
    assert flow.calls == ["pause"]
    await window.batch()
    assert flow.calls == ["pause", "resume"]


async def test_large_records_pause_the_stream_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HIGH_BYTES", 1_000)
    flow = Flow()
    window = flow.window()
    window.put(record(0, size=600))
    window.put(record(1, size=600))
    assert flow.calls == ["pause"]


async def test_nothing_is_waited_for_when_there_is_nothing_to_win() -> None:
    window = Flow().window(max_wait_ms=60_000)
    window.put(record(0))
    async with asyncio.timeout(30):
        batch = await window.batch(at_once=lambda: True)
    assert len(batch.records) == 1


async def test_a_batch_that_waits_closes_when_there_is_nothing_to_win_any_more() -> None:
    window = Flow().window(max_wait_ms=60_000)
    idle = False
    waiting = asyncio.create_task(window.batch(at_once=lambda: idle))
    window.put(record(0))
    window.put(record(1))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    idle = True
    window.look_again()
    async with asyncio.timeout(30):
        assert len((await waiting).records) == 2


async def test_headers_count_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HIGH_BYTES", 1_000)
    flow = Flow()
    flow.window().put(Record("t", 0, 0, 0.0, None, b"x", (("h", b"y" * 1_000),)))
    assert flow.calls == ["pause"]


async def test_clearing_forgets_what_waits_and_begins_a_generation() -> None:
    window = Flow().window(max_wait_ms=0)
    window.put(record(0))
    batch = await window.batch()
    window.put(record(1))
    window.clear()
    assert window.depth == 0
    assert batch.generation != window.generation
    window.put(record(2))
    assert (await window.batch()).generation == window.generation


async def test_a_batch_commits_behind_its_last_record_of_each_partition() -> None:
    window = Flow().window(max_wait_ms=0)
    for one in (record(4), record(5), record(9, partition=1)):
        window.put(one)
    assert (await window.batch()).offsets == {("t", 0): 6, ("t", 1): 10}
