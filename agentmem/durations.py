"""Times as one writes them on a command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

import click

from schemas.times import parse_instant

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")


class Duration(click.ParamType):
    """A time such as 90d, 12h, 30m or 45s."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The time as a timedelta."""
        if isinstance(value, timedelta):
            return value
        if not (found := _DURATION.fullmatch(value)):
            self.fail(f"{value!r} is no time such as 90d, 12h, 30m or 45s", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


class Moment(click.ParamType):
    """A time, ISO 8601; UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment: datetime = parse_instant(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return moment
