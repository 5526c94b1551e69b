"""Which settings may change while a process runs.

``Live[int]`` in a settings model says: who uses this value reads it from the model each time, so that a new one
counts at once. All others need a restart. ``agentmem.live_settings`` sets them.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from pydantic.fields import FieldInfo

T = TypeVar("T")

_LIVE: Final = "live"

Live = Annotated[T, _LIVE]


def is_live(field: FieldInfo) -> bool:
    """Whether the setting may change while a process runs."""
    return _LIVE in field.metadata
