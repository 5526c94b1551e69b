"""What may be committed behind the last record: only what was handed over, and only while that is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.app import Stream
from streams.faust_app import ConsumerThread
from streams.settings import KafkaSettings

ONE = TopicPartition("requests", 0)


def thread(fetched: int, committed: int, position: int, *, lost_track: bool = False) -> Any:
    return SimpleNamespace(
        fetched={ONE: fetched},
        committed={ONE: committed},
        positions=lambda: {ONE: position},
        lost_track=lost_track,
    )


@pytest.mark.parametrize(
    ("consumer", "wanted"),
    [
        (thread(10, 10, 11), {ONE: 11}),  # the end of a transaction
        (thread(10, 9, 11), {}),  # a record is in hand
        (thread(10, 10, 10), {}),  # nothing behind it
        (thread(10, 10, 15, lost_track=True), {}),  # five records that nobody got
    ],
)
async def test_what_is_committed_behind_the_last_record(consumer: Any, wanted: dict[TopicPartition, int]) -> None:
    assert await Stream(KafkaSettings())._skipped(consumer) == wanted


async def test_a_fetch_that_fails_loses_track_until_the_next_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise ValueError("a record that cannot be read")

    async def assigned(*_: Any) -> None:
        pass

    base = ConsumerThread.__mro__[1]
    monkeypatch.setattr(base, "_fetch_records", fails)
    monkeypatch.setattr(base, "on_partitions_assigned", assigned)
    one = ConsumerThread.__new__(ConsumerThread)
    one.fetched, one.committed, one.lost_track, one._assignments = {ONE: 3}, {ONE: 3}, False, 0
    with pytest.raises(ValueError, match="cannot be read"):
        await one._fetch_records(None)
    assert one.lost_track
    await one.on_partitions_assigned(set(), 2)
    assert (one.fetched, one.committed, one.lost_track) == ({}, {}, False)
