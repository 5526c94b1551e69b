"""``agentmem events``."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING

import click

from agentmem import running
from agentmem.commands.scope import named_ids, scope_options
from agentmem.commands.tail import TYPES, event_line
from agentmem.invocation import Invocation, pass_invocation
from schemas.times import parse_instant

if TYPE_CHECKING:
    from agentmem.event_log import Start, Wanted
    from streams.settings import KafkaSettings


def _start(_ctx: click.Context, _option: click.Parameter, text: str) -> Start:
    ends: dict[str, Start] = {"beginning": "beginning", "end": "end"}
    if text in ends:
        return ends[text]
    try:
        instant: datetime = parse_instant(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}; give beginning, end, or a time") from error
    return instant


@click.command()
@click.option(
    "--from",
    "start",
    default="beginning",
    show_default=True,
    metavar="beginning|end|TIME",
    callback=_start,
    help="Where to begin: a TIME is ISO 8601, UTC unless it says otherwise.",
)
@click.option("--project", help="Only of this project.")
@scope_options
@click.option("--type", "kinds", type=click.Choice(TYPES), multiple=True, help="Only this; repeat for more.")
@click.option("-n", "limit", type=click.IntRange(min=1), metavar="COUNT", help="End after so many events.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new events as they come, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON.")
@pass_invocation
def events(
    invocation: Invocation,
    /,
    start: Start,
    project: str | None,
    kinds: tuple[str, ...],
    limit: int | None,
    follow: bool,
    as_json: bool,
    **ids: str | None,
) -> None:
    """Read the events that Kafka keeps, of all projects, and end.

    This reads the topic memory-events itself: it needs no gateway and no API key, and sees the past for as
    long as the topic keeps it. agentmem tail asks the gateway for what happens from now on, in the project
    of its API key.

    \b
    Examples:
      agentmem events --user alice
      agentmem events --from 2026-01-31T12:00:00Z --type failed --json
      agentmem events --from end --follow
    """
    from agentmem.event_log import Wanted

    wanted = Wanted(project, named_ids(ids), frozenset(kinds))
    running.run(_print(invocation.client_settings().kafka, start, wanted, limit, follow, as_json))


async def _print(
    settings: KafkaSettings, start: Start, wanted: Wanted, limit: int | None, follow: bool, as_json: bool
) -> None:
    import orjson

    from agentmem.event_log import read_events
    from agentmem.output import show_document

    shown = 0
    async with aclosing(read_events(settings, start, wanted, follow=follow)) as found:
        async for event in found:
            if as_json:
                show_document(event.document)
            else:
                click.echo(event_line(orjson.loads(event.document)))
            shown += 1
            if shown == limit:
                return
