"""What the options before the command say, handed to every command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from agentmem.settings import Settings
    from agentmem.settings_sources import Layer

#: Where a running local stack writes its addresses and key, beside the project that runs it.
DEV_ENV: Final = Path(".agentmem/dev.env")


@dataclass(frozen=True, slots=True)
class Invocation:
    """The common options of one call of ``agentmem``."""

    config: Path | None
    overrides: Mapping[str, str]

    def settings(self, **flags: object) -> Settings:
        """The settings; a flag (``gateway__port=1``) that is not None stands above all other sources."""
        return self._load(None, flags)

    def client_settings(self, **flags: object) -> Settings:
        """As :meth:`settings`, for a client of a stack: what is set nowhere comes from the one running here."""
        return self._load(DEV_ENV, flags)

    def client_settings_with_sources(self) -> tuple[Settings, Layer]:
        """As :meth:`client_settings`, with what was given and where."""
        from agentmem.settings import load_with_sources

        return load_with_sources(self.config, self.overrides, fallback=DEV_ENV)

    def _load(self, fallback: Path | None, flags: Mapping[str, object]) -> Settings:
        from agentmem.settings import load_settings

        given = {name.replace("__", "."): str(value) for name, value in flags.items() if value is not None}
        return load_settings(self.config, {**self.overrides, **given}, fallback=fallback)


pass_invocation = click.make_pass_decorator(Invocation)
