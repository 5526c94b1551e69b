"""A gateway's settings."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class Setting(TypedDict):
    """A setting in force; a secret is masked."""

    value: Any
    source: str
    live: bool


class SettingsInForce(TypedDict):
    """Every setting that the gateway uses, by its dotted name."""

    settings: dict[str, Setting]


class SettingChange(TypedDict):
    """A setting before and after a change."""

    old: Any
    new: Any


class SettingsChanged(TypedDict):
    """What has changed, by dotted names."""

    message: str
    changed: dict[str, SettingChange]
