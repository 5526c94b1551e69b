"""How many rows to ask for at a time, where their bytes decide how many come."""

from __future__ import annotations

from typing import Final

#: The first time, when nothing is known of them; and at most.
FIRST: Final = 16
MOST: Final = 256


def after(came: int) -> int:
    """How many next, when so many came: all that are asked for are measured, so not many more than will fit."""
    return max(1, min(2 * came, MOST))
