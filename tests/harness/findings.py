"""What is wrong with a system, by kind; of one that keeps its promises, nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

K = TypeVar("K")

_SHOWN: Final = 5
_SHOWN_CHARACTERS: Final = 300


@dataclass
class Findings:
    """Each finding in words. ``judge`` and ``same_keys`` add to the lists given to them."""

    #: Asked for, and not there.
    lost: list[str] = field(default_factory=list)
    #: There, and not asked for, or not as often.
    duplicated: list[str] = field(default_factory=list)
    #: There, but not as it stands elsewhere.
    stale: list[str] = field(default_factory=list)
    #: Any other contradiction: order, times, bytes.
    wrong: list[str] = field(default_factory=list)

    def judge(self, kind: list[str], what: str, found: object, wanted: object) -> None:
        """Note under ``kind`` that these two differ, if they do."""
        if found != wanted:
            kind.append(f"{what}: {_short(found)} instead of {_short(wanted)}")

    def same_keys(
        self,
        what: str,
        found: Iterable[K],
        wanted: Iterable[K],
        *,
        missing: list[str] | None = None,
        extra: list[str] | None = None,
    ) -> set[K]:
        """Note what is missing (by default: lost) and what is too many (duplicated); returns what both have."""
        have, want = set(found), set(wanted)
        (self.lost if missing is None else missing).extend(f"{what} {key} is missing" for key in want - have)
        (self.duplicated if extra is None else extra).extend(f"{what} {key} is too many" for key in have - want)
        return have & want

    def assert_none(self) -> None:
        """Fail with the first findings of each kind, unless there are none."""
        kinds = {"lost": self.lost, "duplicated": self.duplicated, "stale": self.stale, "wrong": self.wrong}
        lines = [
            f"{len(found)} {kind}: {'; '.join(sorted(found)[:_SHOWN])}" for kind, found in kinds.items() if found
        ]
        if lines:
            raise AssertionError("\n".join(lines))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
