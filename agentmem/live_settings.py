"""The settings of a running process: they follow its file, on SIGHUP or when it changes, and its operator.

Those marked ``Live`` are set in the very models that their users hold and read from each time. New settings count
as a whole or not at all; one that needs a restart is told by name, and stays as it is until then.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from agentmem.settings import Settings, parsed
from agentmem.settings_effective import effective
from agentmem.settings_errors import each_setting
from agentmem.settings_sources import Given, Layer, Name, SettingsError
from gateway.configuration import Change, ChangeRefusedError, Shown
from infra.telemetry.metrics import SETTINGS_PENDING, SETTINGS_RELOADS
from schemas.live import is_live

_log = structlog.get_logger(__name__)

#: Seconds between two looks at the file. It counts when it has been the same twice: nobody is still writing it.
_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """New settings, found valid, and what they change; nothing has changed yet."""

    given: Layer
    wanted: Settings
    pending: list[Name]
    changes: list[Change]


class LiveSettings:
    """The settings of the ``sections`` that this process uses.

    ``read`` reads what was given and where, ``file`` is the one to watch; ``applied`` is called when something
    has changed.
    """

    def __init__(
        self,
        read: Callable[[], Layer],
        file: Path | None,
        sections: Collection[str],
        applied: Callable[[Settings], None],
    ) -> None:
        self._read = read
        self._file = file
        self._applied = applied
        self._fields = {name: field for name, field in each_setting(Settings) if name[0] in sections}
        self._seen = _stamp(file)
        self._base = self._given = read()
        self._by_operator: Layer = {}
        self.settings = parsed(self._base)
        for result in ("applied", "refused"):
            SETTINGS_RELOADS.labels(result)  # at 0: the first one, too, is an increase

    def shown(self) -> list[Shown]:
        """The settings in force."""
        live = {".".join(name): is_live(field) for name, field in self._fields.items()}
        return [
            Shown(one.name, one.value, one.source, live[one.name])
            for one in effective(self.settings, self._given)
            if one.name in live
        ]

    def planned(self, values: Mapping[str, Any]) -> list[Change]:
        """What :meth:`change` would change now; raises as it does."""
        return self._asked(values, "")[1].changes

    def change(self, values: Mapping[str, Any], who: str) -> list[Change]:
        """Set values until the process ends; None takes one back. Raises ``ChangeRefusedError``."""
        by_operator, plan = self._asked(values, who)
        self._apply(plan, who)
        self._by_operator = by_operator
        return plan.changes

    def _asked(self, values: Mapping[str, Any], who: str) -> tuple[Layer, _Plan]:
        by_operator = dict(self._by_operator)
        for dotted, value in values.items():
            name = tuple(dotted.split("."))
            if name not in self._fields:
                raise ChangeRefusedError("no_such_setting", f"{dotted}: this process has no such setting.")
            if not is_live(self._fields[name]):
                raise ChangeRefusedError("needs_restart", f"{dotted}: this setting needs a restart.")
            by_operator.pop(name, None)
            if value is not None:
                by_operator[name] = Given(value, f"the operator ({who})")
        try:
            return by_operator, self._plan(self._base, by_operator)
        except SettingsError as error:
            raise ChangeRefusedError("invalid_setting", str(error)) from error

    async def watch(self) -> None:
        """Read the file again at SIGHUP and when it changes, for ever."""
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
        before = self._seen
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await asked.wait()
            now = await asyncio.to_thread(_stamp, self._file)
            if asked.is_set() or before == now != self._seen:
                asked.clear()
                self._seen = now
                await self.reload()
            before = now

    async def reload(self) -> None:
        """Take what is set now; what is not valid is told, and changes nothing."""
        try:
            base = await asyncio.to_thread(self._read)
            self._apply(self._plan(base, self._by_operator), str(self._file or "the environment"))
        except SettingsError as error:
            SETTINGS_RELOADS.labels("refused").inc()
            _log.error("the settings were refused: those before stay in force", problem=str(error))
        else:
            self._base = base

    def _plan(self, base: Layer, by_operator: Layer) -> _Plan:
        given = {**base, **by_operator}
        pending = self._pending(parsed(given))
        # With what waits for a restart left as it was the rest must be valid too.
        given = {name: value for name, value in given.items() if name not in pending} | {
            name: self._given[name] for name in pending if name in self._given
        }
        wanted = parsed(given)
        now = {one.name: one.value for one in self.shown()}
        changes = [
            Change(one.name, now[one.name], one.value)
            for one in effective(wanted, given)
            if one.name in now and one.value != now[one.name]
        ]
        return _Plan(given, wanted, pending, changes)

    def _apply(self, plan: _Plan, who: str) -> None:
        for name, field in self._fields.items():
            if is_live(field):
                # Frozen for all others: only here a setting changes.
                _section(self.settings, name).__dict__[name[-1]] = _value(plan.wanted, name)
        self._given = plan.given
        for change in plan.changes:
            _log.warning("a setting has changed", setting=change.name, old=change.old, new=change.new, by=who)
        if plan.pending:
            waiting = [".".join(name) for name in plan.pending]
            _log.warning("settings wait for a restart", settings=waiting, by=who)
        SETTINGS_PENDING.set(len(plan.pending))
        SETTINGS_RELOADS.labels("applied").inc()
        self._applied(self.settings)

    def _pending(self, wanted: Settings) -> list[Name]:
        return [
            name
            for name, field in self._fields.items()
            if not is_live(field) and _value(wanted, name) != _value(self.settings, name)
        ]


def _section(settings: Settings, name: Name) -> Any:
    section: Any = settings
    for part in name[:-1]:
        section = getattr(section, part)
    return section


def _value(settings: Settings, name: Name) -> Any:
    return getattr(_section(settings, name), name[-1])


def _stamp(file: Path | None) -> tuple[int, ...] | None:
    """What changes when a file does; None when it is not there."""
    try:
        found = os.stat(file) if file is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_size, found.st_mtime_ns)
