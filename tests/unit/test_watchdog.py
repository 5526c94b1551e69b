"""When the watchdog ends a worker, and when it must not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents.settings import WorkerSettings
from agents.watchdog import StuckError, Watchdog
from streams.lag import GroupOffsets, LagReader
from streams.settings import KafkaSettings


class World:
    """A watchdog whose clock and partitions the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.mine = {0}
        self.waiting = False
        self.steps = 0
        self.reported: dict[int, int] = {}
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now, raising=False)
        self.watchdog = Watchdog(
            LagReader(KafkaSettings()),
            mine=lambda: self.mine,
            waiting=lambda: self.waiting,
            steps=lambda: self.steps,
            report=lambda lag: setattr(self, "reported", lag),
            settings=WorkerSettings(watchdog_s=100),
        )

    def look(self, after: float, end: dict[int, int], committed: dict[int, int]) -> None:
        self.now += after
        self.watchdog.look(GroupOffsets(begin=dict.fromkeys(end, 0), end=end, committed=committed))


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        yield World(patch)


async def test_work_without_progress_ends_the_worker(world: World) -> None:
    world.look(0, {0: 10}, {0: 3})
    world.look(99, {0: 12}, {0: 3})
    assert world.reported == {0: 9}
    with pytest.raises(StuckError, match="9 records wait"):
        world.look(2, {0: 12}, {0: 3})


async def test_progress_however_slow_is_progress(world: World) -> None:
    for step in range(5):
        world.look(90, {0: 100}, {0: step})


async def test_a_long_batch_makes_steps_before_it_is_committed(world: World) -> None:
    for _ in range(5):
        world.steps += 1
        world.look(90, {0: 10}, {0: 3})
    with pytest.raises(StuckError):
        world.look(101, {0: 10}, {0: 3})


async def test_no_work_is_no_fault(world: World) -> None:
    for _ in range(5):
        world.look(90, {0: 7}, {0: 7})


async def test_a_store_that_is_down_is_no_fault_of_the_worker(world: World) -> None:
    world.waiting = True
    for _ in range(5):
        world.look(90, {0: 7}, {0: 3})
    world.waiting = False
    with pytest.raises(StuckError):
        world.look(101, {0: 7}, {0: 3})


async def test_a_spare_worker_looks_at_the_whole_group(world: World) -> None:
    world.mine = set()
    world.look(0, {0: 10, 1: 10}, {0: 1})
    world.look(90, {0: 10, 1: 10}, {0: 2})
    assert world.reported == {}
    with pytest.raises(StuckError, match="18 records wait"):
        world.look(101, {0: 10, 1: 10}, {0: 2})


async def test_records_that_retention_removed_are_no_lag() -> None:
    assert GroupOffsets(begin={0: 5}, end={0: 9}, committed={0: 2}).total == 4
