"""Times as one writes them on a command line."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import click

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
