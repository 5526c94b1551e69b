"""Secrets taken out of what is shown."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
#: Up to the last @ before a slash: a password may hold either.
_USER_AND_PASSWORD: Final = re.compile(r"://([^:/@\s]*):(?:[^/\s]*|[^@\s]*)@")
_PASSWORD_PARAMETER: Final = re.compile(r"(?i)([?&][\w.-]*(?:password|token|key|secret)=)[^&\s]*")


def masked(text: str) -> str:
    """The text without the passwords that a URL in it has."""
    return _PASSWORD_PARAMETER.sub(rf"\1{MASK}", _USER_AND_PASSWORD.sub(rf"://\1:{MASK}@", text))
