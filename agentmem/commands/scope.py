"""The options that say whose memories are meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def scope_options(command: Command) -> Command:
    """``--user``, ``--agent``, ``--app``, ``--run``: passed on as ``user_id`` and so on."""
    for kind, what in (
        ("run", "The run or session."),
        ("app", "The application."),
        ("agent", "The agent."),
        ("user", "The user."),
    ):
        command = click.option(f"--{kind}", f"{kind}_id", metavar="ID", help=what)(command)
    return command


def named_ids(ids: dict[str, str | None]) -> dict[str, str]:
    """The ids that were given."""
    return {name: value for name, value in ids.items() if value is not None}
