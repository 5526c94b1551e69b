"""``agentmem replay``."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from agentmem import running
from agentmem.commands.scope import named_ids, scope_options
from agentmem.durations import Moment
from agentmem.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from agentmem.settings import Settings
    from agents.maintenance.replay import Wanted


@click.group()
def replay() -> None:
    """Tell events once more, or let the workers read requests once more.

    Both are safe to do, to interrupt and to repeat: whatever was done before is known by its id.

    \b
    Examples:
      agentmem replay events --project shop --from 2026-01-31
      agentmem replay requests --from 2026-01-31T12:00:00Z --dry-run
    """


@replay.command()
@click.option("--project", help="Only of this project.")
@scope_options
@click.option("--from", "begin", type=Moment(), help="Only of what was done from then on.")
@click.option("--until", "end", type=Moment(), help="Only of what was done before; default: now.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_invocation
def events(
    invocation: Invocation,
    /,
    project: str | None,
    begin: datetime | None,
    end: datetime | None,
    dry_run: bool,
    as_json: bool,
    **ids: str | None,
) -> None:
    """Send events of the past to memory-events again, from Postgres.

    For consumers that lost what they had, beyond what the topic keeps. They are the same events, by id and by
    body, and in order for each memory. All who read the topic get them, webhooks too if their log of deliveries
    does not know them any more.

    \b
    Examples:
      agentmem replay events --dry-run
      agentmem replay events --project shop --user alice --from 2026-01-31
    """
    from agentmem.output import show_json
    from agents.maintenance.replay import Wanted
    from schemas.requests import DEFAULT_PROJECT
    from schemas.scope import Scope

    named = named_ids(ids)
    scope = Scope(project or DEFAULT_PROJECT, **named) if project or named else None
    wanted = Wanted(scope, begin, end or datetime.now(UTC))
    count = running.run(_events(invocation.client_settings(), wanted, dry_run))
    if as_json:
        show_json({"sent": 0 if dry_run else count, "found": count})
    else:
        click.echo(f"{count} events {'would be sent' if dry_run else 'sent'}")


async def _events(settings: Settings, wanted: Wanted, dry_run: bool) -> int:
    from agentmem.progress import progress_bar
    from agents.maintenance.replay import replay
    from agents.stages.announce import AnnounceStage
    from infra.postgres import Database
    from streams.producer import Producer
    from streams.topics import Topics

    with closing(Database(settings.postgres)) as database, progress_bar() as progress:
        task = progress.add_task("events", total=None)

        def tell(count: int) -> None:
            progress.update(task, completed=count)

        if dry_run:
            return await replay(database, None, wanted, tell)
        async with Producer(settings.kafka) as producer:
            return await replay(database, AnnounceStage(producer, Topics.of(settings.kafka)), wanted, tell)


@replay.command()
@click.option(
    "--from",
    "begin",
    type=Moment(),
    help="From the first request of that time on; default: all that the topic keeps.",
)
@click.option(
    "--offset",
    "offsets",
    type=(click.IntRange(min=0), click.IntRange(min=0)),
    multiple=True,
    metavar="PARTITION OFFSET",
    help="From this offset of this partition on, the others as they are; repeat for more.",
)
@click.option("--dry-run", is_flag=True, help="Only say from where it would be.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_invocation
def requests(
    invocation: Invocation,
    /,
    begin: datetime | None,
    offsets: tuple[tuple[int, int], ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Set the workers' group back, so that requests are read again. All workers must be stopped.

    A request that was applied changes nothing when it comes again: its memories are projected and its events
    announced once more. One that was not, for instance after Postgres was restored from a backup, is applied.

    \b
    Examples:
      agentmem replay requests --from 2026-01-31T12:00:00Z
      agentmem replay requests --offset 0 1500 --offset 3 1200 --dry-run
    """
    from agentmem.output import show_json, show_table

    if begin is not None and offsets:
        raise click.UsageError("--from and --offset exclude each other")
    rows = running.run(_requests(invocation.client_settings(), begin, dict(offsets), dry_run))
    columns = ("partition", "committed", "from", "requests")
    if as_json:
        show_json({"reset": not dry_run, "partitions": [dict(zip(columns, row, strict=True)) for row in rows]})
    else:
        show_table(columns, rows)


async def _requests(
    settings: Settings, begin: datetime | None, offsets: dict[int, int], dry_run: bool
) -> list[tuple[int, int, int, int]]:
    from streams.lag import LagReader
    from streams.offsets import offsets_at, reset

    async with LagReader(settings.kafka) as reader:
        now = await reader.read()
    if unknown := offsets.keys() - now.end.keys():
        raise click.UsageError(f"there is no partition {', '.join(map(str, sorted(unknown)))}")
    wanted = offsets or await offsets_at(settings.kafka, begin)
    wanted = {one: min(max(offset, now.begin[one]), now.end[one]) for one, offset in wanted.items()}
    if not dry_run:
        await reset(settings.kafka, wanted)
    return [(one, now.position(one), wanted[one], now.end[one] - wanted[one]) for one in sorted(wanted)]
