"""What is known of a store after a look at it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from agents import probing
from agents.probing import Probing
from agents.watchdog import StuckError
from schemas.problems import MisconfiguredError, StoreUnavailableError
from tests.harness.waiting import eventually


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "INTERVAL_S", 0.001)


def up(store: str) -> float | None:
    return REGISTRY.get_sample_value("agentmem_worker_component_up", {"component": store})


def finds(*looks: Exception | None) -> Callable[[], Awaitable[None]]:
    """A probe of which each look finds what comes next; the last one ends the worker."""
    coming = iter([*looks, StuckError("1 records wait")])

    async def probe() -> None:
        if (error := next(coming)) is not None:
            raise error

    return probe


async def test_the_workers_own_end_is_no_problem_of_a_store() -> None:
    stores = Probing()
    with pytest.raises(StuckError):
        await stores.watch("Ended", finds())
    assert not stores.problems
    assert up("ended") is None


@pytest.mark.parametrize("error", [StoreUnavailableError("Away", "gone"), MisconfiguredError("wrong password")])
async def test_a_store_is_down_until_it_answers(error: Exception) -> None:
    stores = Probing()
    with pytest.raises(StuckError):
        await stores.watch("Away", finds(None, error))
    assert stores.problems == {"Away": str(error)}
    assert up("away") == 0
    with pytest.raises(StuckError):
        await stores.watch("Away", finds(None))
    assert not stores.problems
    assert up("away") == 1


async def test_only_the_store_that_is_down_is_blamed() -> None:
    stores = Probing()
    with pytest.raises(StuckError):
        await stores.watch("Asked", finds(None, StoreUnavailableError("Needed", "gone")))
    assert set(stores.problems) == {"Needed"}
    assert (up("asked"), up("needed")) == (1, 0)


async def test_a_store_is_down_while_its_answer_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_ANSWER_WITHIN_S", 0.001)
    stores, answer = Probing(), asyncio.Event()

    async def probe() -> None:
        await answer.wait()

    async def down() -> bool:
        return up("late") == 0

    async def answers() -> bool:
        return up("late") == 1

    watching = asyncio.create_task(stores.watch("Late", probe))
    await eventually(down, 30, "the late answer is told")
    assert set(stores.problems) == {"Late"}
    answer.set()
    await eventually(answers, 30, "the answer is told")
    assert not stores.problems
    watching.cancel()
    await asyncio.wait({watching})
