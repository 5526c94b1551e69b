"""Events as they arrive at the gateway: each with its place in the log."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from schemas.inbound import InboundEvent

#: For each partition of the event topic, by its number, the offset to be read next.
Positions = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, where it lies, and how far every partition was read when it came, itself included."""

    event: InboundEvent
    partition: int
    offset: int
    positions: Positions


def furthest(one: Positions, other: Positions) -> Positions:
    """The further position in each partition."""
    return tuple(max(pair) for pair in zip_longest(one, other, fillvalue=0))


def widened(positions: Positions, number: int) -> Positions:
    """Positions in ``number`` partitions at least: those that were added are read from their first record."""
    return positions + (0,) * (number - len(positions))


def distance(behind: Positions, ahead: Positions) -> int:
    """How many records ``behind`` has still to read until it is as far as ``ahead`` in every partition."""
    return sum(max(0, there - here) for here, there in zip_longest(behind, ahead, fillvalue=0))
