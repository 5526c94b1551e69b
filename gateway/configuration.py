"""The settings of this process as an operator sees and changes them; the composition root provides them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting in force: its value with secrets masked, where that comes from, and whether it may change now."""

    name: str
    value: Any
    source: str
    live: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that has changed, with secrets masked."""

    name: str
    old: Any
    new: Any


class ChangeRefusedError(ValueError):
    """New settings that cannot be: none of them counts. ``code`` is a stable name, the text says what is wrong."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Configuration(Protocol):
    """The settings in force, and how they change while the process runs."""

    def shown(self) -> Sequence[Shown]:
        """Every setting that this process uses, in the order in which they are declared."""

    def planned(self, values: Mapping[str, Any]) -> Sequence[Change]:
        """What :meth:`change` would change now; raises as it does."""

    def change(self, values: Mapping[str, Any], who: str) -> Sequence[Change]:
        """Set these, by their dotted names, until the process ends; None takes such a value back.

        Raises ``ChangeRefusedError``.
        """

    async def watch(self) -> None:
        """Follow the settings file, for ever."""
