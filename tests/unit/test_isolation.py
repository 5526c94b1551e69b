"""A bad record harms only itself; a bad system stops the process."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agents.isolation import Isolation, SystemicError
from agents.waiting import RevokedError
from schemas.problems import (
    BatchRejectedError,
    DeadLetterReason,
    MisconfiguredError,
    RecordRejectedError,
    StoreUnavailableError,
)


class Work:
    """Stores numbers; fails as it is told for some of them."""

    def __init__(self, failures: dict[int, Exception]) -> None:
        self.failures = failures
        self.stored: list[int] = []

    async def __call__(self, items: Sequence[int]) -> None:
        for item in items:
            if item in self.failures:
                raise self.failures[item]
        self.stored += items


async def test_the_culprits_stand_alone_and_the_rest_is_done_in_order() -> None:
    work = Work({3: BatchRejectedError("no"), 8: ValueError("?"), 9: BatchRejectedError("no")})
    failed = await Isolation("apply").run(list(range(11)), work)
    assert work.stored == [0, 1, 2, 4, 5, 6, 7, 10]
    assert [(item, error.reason) for item, error in failed] == [
        (3, DeadLetterReason.REJECTED_BY_STORE),
        (8, DeadLetterReason.UNEXPECTED_ERROR),
        (9, DeadLetterReason.REJECTED_BY_STORE),
    ]
    assert [error.__cause__ for _, error in failed] == [None, work.failures[8], None]


async def test_a_rejection_keeps_its_reason() -> None:
    error = RecordRejectedError(DeadLetterReason.INVALID_VECTOR, "zero")
    assert await Isolation("embed").run([1], Work({1: error})) == [(1, error)]


async def test_a_whole_batch_of_poison_is_only_poison() -> None:
    failed = await Isolation("apply").run([1, 2], Work({1: BatchRejectedError("a"), 2: BatchRejectedError("b")}))
    assert len(failed) == 2


async def test_every_record_failing_unexpectedly_stops_the_process() -> None:
    with pytest.raises(SystemicError, match="every record fails in stage apply: KeyError"):
        await Isolation("apply").run([1, 2, 3], Work(dict.fromkeys([1, 2, 3], KeyError("column"))))


async def test_lone_records_that_fail_one_after_the_other_stop_the_process_too() -> None:
    isolation = Isolation("apply")
    work = Work(dict.fromkeys(range(9), KeyError("column")))
    assert len(await isolation.run([1], work)) == 1
    assert len(await isolation.run([2], work)) == 1
    with pytest.raises(SystemicError):
        await isolation.run([3], work)


async def test_a_success_in_between_shows_that_the_system_works() -> None:
    isolation = Isolation("apply")
    work = Work({1: KeyError("odd")})
    for _ in range(5):
        assert len(await isolation.run([1], work)) == 1
        assert await isolation.run([2], work) == []


@pytest.mark.parametrize(
    "error", [RevokedError(), MisconfiguredError("m"), StoreUnavailableError("Postgres", "down")]
)
async def test_what_is_nobodys_fault_passes_through(error: Exception) -> None:
    with pytest.raises(type(error)):
        await Isolation("apply").run([1, 2], Work({1: error}))
