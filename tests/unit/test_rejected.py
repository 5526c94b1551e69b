"""Poison that was set aside leaves nothing in memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from random import Random
from weakref import ref

import pytest

from agents.items import Rejected
from agents.stages.decode import decode
from schemas.problems import RecordRejectedError
from streams.records import Record
from tests.harness.workload import BAD_VALUES, Workload


@pytest.fixture
def no_collection() -> Iterator[None]:
    """What lies in a circle stays, as it does where collections are rare."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("kind", BAD_VALUES)
def test_an_unreadable_record_is_freed_at_once(kind: str) -> None:
    poison = Workload(Random(1), 3).poisonous(kind)

    def set_aside() -> ref[RecordRejectedError]:
        rejected: list[Rejected] = []
        record = Record("t", 0, 0, 0.0, poison.key, poison.value)
        try:
            decode(record, 1_500_000)
        except RecordRejectedError as error:
            rejected.append(Rejected(record, error, "decode"))
        return ref(rejected[0].error)

    assert set_aside()() is None
