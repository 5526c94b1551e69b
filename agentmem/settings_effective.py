"""The settings in force, each with where it comes from, and secrets masked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from agentmem.settings import Settings
from agentmem.settings_errors import each_setting
from agentmem.settings_sources import Layer, Name

DEFAULT: Final = "default"
MASK: Final = "***"
#: Up to the last @ before a slash: a password may hold either.
_USER_AND_PASSWORD: Final = re.compile(r"://([^:/@\s]*):(?:[^/\s]*|[^@\s]*)@")
_PASSWORD_PARAMETER: Final = re.compile(r"(?i)([?&][a-z]*(?:password|token|key|secret)=)[^&\s]*")


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


def masked(text: str) -> str:
    """The text without the passwords that a URL in it has."""
    return _PASSWORD_PARAMETER.sub(rf"\1{MASK}", _USER_AND_PASSWORD.sub(rf"://\1:{MASK}@", text))


def _shown(settings: Settings, document: dict[str, Any], name: Name) -> Any:
    value: Any = settings
    for part in name:
        value, document = getattr(value, part), document[part]
    if isinstance(value, SecretStr):
        # A connection string says where to; only its password is a secret.
        text = value.get_secret_value()
        return masked(text) if "://" in text else MASK
    return masked(value) if isinstance(value, str) else document
