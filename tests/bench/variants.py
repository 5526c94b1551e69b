"""The variants of the model that are measured."""

from __future__ import annotations

from typing import Final

VARIANTS: Final = ("fp32", "int8")
#: The one that is measured where one will do.
FAST: Final = "int8"
