"""What the options before the command say, handed to every command."""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from agentmem.live_settings import LiveSettings
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

    def live_settings(self, sections: Collection[str], **flags: object) -> LiveSettings:
        """As :meth:`settings`, for a process that runs long: SIGHUP no longer ends it."""
        from agentmem import settings_sources as sources
        from agentmem.live_settings import LiveSettings
        from agentmem.logs import configure_logging, set_level
        from agentmem.settings import read_layers

        file = self.config or sources.configured_file()
        live = LiveSettings(
            partial(read_layers, file, self._given(flags)), file, sections, lambda now: set_level(now.log.level)
        )
        configure_logging(live.settings.log)
        # Until the process watches for it: what changes before is noticed then.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return live

    def client_settings(self, **flags: object) -> Settings:
        """As :meth:`settings`, for a client of a stack: what is set nowhere comes from the one running here."""
        return self._load(DEV_ENV, flags)

    def client_settings_with_sources(self) -> tuple[Settings, Layer]:
        """As :meth:`client_settings`, with what was given and where."""
        from agentmem.settings import load_with_sources

        return load_with_sources(self.config, self.overrides, fallback=DEV_ENV)

    def _load(self, fallback: Path | None, flags: Mapping[str, object]) -> Settings:
        from agentmem.settings import load_settings

        return load_settings(self.config, self._given(flags), fallback=fallback)

    def _given(self, flags: Mapping[str, object]) -> dict[str, str]:
        given = {name.replace("__", "."): str(value) for name, value in flags.items() if value is not None}
        return {**self.overrides, **given}


pass_invocation = click.make_pass_decorator(Invocation)
