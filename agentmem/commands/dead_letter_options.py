"""The options that say which dead letters are meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final

import click
import orjson

from agentmem.durations import Moment
from schemas.problems import DeadLetterReason

Command = Callable[..., Any]

_ID: Final = re.compile(r"(\d{1,9})/(\d{1,18})")


class DeadLetterId(click.ParamType):
    """``PARTITION/OFFSET``."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        found = _ID.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not PARTITION/OFFSET, as 'agentmem dlq list' shows it", param, ctx)
        return int(found[1]), int(found[2])


class _Patch(click.ParamType):
    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        try:
            patch = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            self.fail(f"not JSON: {error}", param, ctx)
        if not isinstance(patch, dict):
            self.fail("a patch is a JSON object", param, ctx)
        return patch


PATCH: Final = _Patch()


def selection_options(command: Command) -> Command:
    """``--reason``, ``--stage``, ``--project``, ``--source``, ``--since``, ``--until``, as one ``selection``."""

    @wraps(command)
    def selecting(
        *arguments: Any,
        reasons: tuple[str, ...],
        stages: tuple[str, ...],
        project: str | None,
        source: str | None,
        since: datetime | None,
        until: datetime | None,
        **options: Any,
    ) -> Any:
        from agentmem.dead_letters.selection import Selection

        chosen = Selection(frozenset(reasons), frozenset(stages), project, source, since, until)
        return command(*arguments, selection=chosen, **options)

    for option in (
        click.option("--until", type=Moment(), help="Set aside before this moment."),
        click.option("--since", type=Moment(), help="Set aside at or after this moment (ISO 8601)."),
        click.option(
            "--source",
            metavar="TOPIC[/PARTITION[/OFFSET]]",
            help="Read from there.",
        ),
        click.option("--project", help="Of this project."),
        click.option("--stage", "stages", multiple=True, help="Set aside by this stage; repeat for more."),
        click.option(
            "--reason",
            "reasons",
            type=click.Choice([reason.value for reason in DeadLetterReason]),
            multiple=True,
            help="Set aside for this reason; repeat for more.",
        ),
    ):
        selecting = option(selecting)
    return selecting
