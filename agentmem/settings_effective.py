"""The settings in force, each with where it comes from, and secrets masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from agentmem.masking import MASK, masked
from agentmem.settings import Settings
from agentmem.settings_errors import each_setting
from agentmem.settings_sources import Layer, Name

DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting: its dotted name, its value as plain JSON with secrets masked, and where that comes from."""

    name: str
    value: Any
    source: str


def effective(settings: Settings, given: Layer) -> list[Effective]:
    """Every setting, in the order in which they are declared."""
    document = settings.model_dump(mode="json")
    return [
        Effective(
            ".".join(name), _shown(settings, document, name), given[name].origin if name in given else DEFAULT
        )
        for name, _ in each_setting(Settings)
    ]


def _shown(settings: Settings, document: dict[str, Any], name: Name) -> Any:
    value: Any = settings
    for part in name:
        value, document = getattr(value, part), document[part]
    if isinstance(value, SecretStr):
        # A connection string says where to; only its password is a secret.
        text = value.get_secret_value()
        return masked(text) if "://" in text else MASK
    return masked(value) if isinstance(value, str) else document
