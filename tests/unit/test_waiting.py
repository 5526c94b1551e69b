"""A store that is down is waited out."""

from __future__ import annotations

import pytest

from agents import waiting
from agents.waiting import RevokedError, Waiting
from schemas.problems import BatchRejectedError, StoreUnavailableError


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(waiting, "_LONGEST_WAIT_S", 0.002)


class Store:
    """Is down for a number of calls."""

    def __init__(self, down: int) -> None:
        self.down = down
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.down:
            raise StoreUnavailableError("Postgres", "down")
        return "done"


async def test_the_work_is_done_when_the_store_is_back() -> None:
    store = Store(down=20)
    assert await Waiting().out("apply", store, lambda: None) == "done"
    assert store.calls == 21


async def test_other_errors_pass_at_once() -> None:
    async def refuse() -> None:
        raise BatchRejectedError("no")

    with pytest.raises(BatchRejectedError):
        await Waiting().out("apply", refuse, lambda: None)


async def test_a_revoked_batch_is_not_tried_again() -> None:
    store = Store(down=1_000_000)

    def check() -> None:
        if store.calls == 3:
            raise RevokedError

    with pytest.raises(RevokedError):
        await Waiting().out("apply", store, check)
    assert store.calls == 3
