"""Cursors: what goes in comes out, for the project that it was made for and nobody else."""

from __future__ import annotations

import secrets
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.feeds.cursors import Cursors, InvalidCursorError
from gateway.feeds.inbound import Positions, distance, furthest

KEY = secrets.token_bytes(32)
CURSORS = Cursors(KEY, "ours", "memory-events")
POSITIONS = st.lists(st.integers(0, 2**63 - 1), max_size=50).map(tuple)


@given(POSITIONS)
def test_a_cursor_says_the_positions_again(positions: Positions) -> None:
    cursor = CURSORS.encode(positions)
    assert CURSORS.decode(cursor) == positions
    assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")


@given(POSITIONS, POSITIONS)
def test_cursors_are_equal_where_positions_are(one: Positions, other: Positions) -> None:
    assert (CURSORS.encode(one) == CURSORS.encode(other)) == (one == other)


def test_a_cursor_is_short() -> None:
    assert len(CURSORS.encode((10**6,) * 6)) <= 50
    assert len(CURSORS.encode((10**10,) * 1000)) <= 8_000


@given(POSITIONS)
def test_a_cursor_is_nothing_to_others(positions: Positions) -> None:
    cursor = CURSORS.encode(positions)
    for other in (
        Cursors(KEY, "theirs", "memory-events"),
        Cursors(KEY, "ours", "other-memory-events"),
        Cursors(secrets.token_bytes(32), "ours", "memory-events"),
    ):
        with pytest.raises(InvalidCursorError):
            other.decode(cursor)


@given(POSITIONS, st.data())
def test_a_changed_cursor_is_refused(positions: Positions, data: st.DataObject) -> None:
    cursor = CURSORS.encode(positions)
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_=. é\n"))
    assume(other != cursor[at])
    for forged in (cursor[:at] + other + cursor[at + 1 :], cursor[:at], cursor + other, cursor + cursor):
        with pytest.raises(InvalidCursorError):
            CURSORS.decode(forged)


@given(st.text(max_size=200) | st.text(string.ascii_letters, min_size=8_001, max_size=8_100))
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        CURSORS.decode(text)


@given(POSITIONS, POSITIONS)
def test_the_furthest_is_behind_neither(one: Positions, other: Positions) -> None:
    both = furthest(one, other)
    assert both == furthest(other, one)
    assert distance(both, one) == distance(both, other) == 0
    assert (distance(one, both) == 0) == (distance(one, other) == 0)
    assert distance(one, other) >= 0
