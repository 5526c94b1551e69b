from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import format_instant, parse_expiry, parse_instant

zones = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda delta: timezone(timedelta(minutes=delta // timedelta(minutes=1)))
)
instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)


@given(instants)
def test_an_instant_survives_being_written_and_read(instant: datetime) -> None:
    written = format_instant(instant)
    assert parse_instant(written) == parse_expiry(written) == instant
    assert format_instant(parse_instant(written)) == written


@given(instants)
def test_equal_instants_are_equal_bytes_whatever_their_zone(instant: datetime) -> None:
    assert format_instant(parse_instant(instant.isoformat())) == format_instant(instant)


@given(instants, instants)
def test_written_instants_sort_as_they_follow(one: datetime, other: datetime) -> None:
    assert (format_instant(one) < format_instant(other)) == (one < other)


@given(st.dates())
def test_a_bare_date_is_that_day(day: date) -> None:
    assert parse_instant(str(day)) == datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = parse_expiry(str(day))
    assert end.date() == day
    assert end + timedelta(microseconds=1) - parse_instant(str(day)) == timedelta(days=1) or day == date.max


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250000Z"),
        ("2030-01-31T12:00:00Z", "2030-01-31T12:00:00.000000Z"),
        ("2030-01-31T12:00:00.123456789+02:00", "2030-01-31T10:00:00.123456Z"),
        ("2030-01-31 12:00", "2030-01-31T12:00:00.000000Z"),
        (datetime(2030, 1, 31, 12), "2030-01-31T12:00:00.000000Z"),
    ],
)
def test_spellings_of_an_instant(value: Any, expected: str) -> None:
    assert format_instant(parse_instant(value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("soon", "", "2030-13-01", "2030-02-30", "20300131", "1712121200000", "1700000000"),
        *(
            "2030-W01-1",
            "2030-01-31x",
            "2030-01-31T12:00:00Z\n",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:00:00-02:00",
        ),
        *(True, None, [], 1_700_000_000_000, -1e20, float("nan"), float("inf")),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
    ],
)
def test_what_is_not_a_time_is_refused(value: Any) -> None:
    for parse in (parse_instant, parse_expiry):
        with pytest.raises(ValueError, match="time"):
            parse(value)
