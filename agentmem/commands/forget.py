"""``agentmem forget``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from agentmem import running
from agentmem.commands.scope import named_ids, scope_options
from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import Invocation, pass_invocation
from schemas.requests import DEFAULT_PROJECT
from schemas.scope import Scope

if TYPE_CHECKING:
    from agentmem.settings import Settings
    from agents.maintenance.forget import Tell


@click.command()
@click.option("--project", default=DEFAULT_PROJECT, show_default=True, help="The project.")
@scope_options
@click.option("--dry-run", is_flag=True, help="Only count what would be erased.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--timeout",
    "stall_s",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up when the workers apply nothing for so long.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_invocation
def forget(
    invocation: Invocation,
    /,
    project: str,
    dry_run: bool,
    yes: bool,
    stall_s: float,
    as_json: bool,
    **ids: str | None,
) -> None:
    """Erase a person: all memories with these ids, and what every table and the search index hold of them.

    It waits until all requests that were published before are applied, deletes the memories as any delete
    does, and then takes their contents out of Postgres: texts, names, metadata, vectors, every past
    version, feedback, and what waits for webhooks. What stays are ids, times and hashes, so that a request
    that comes again stores nothing, and an event that is announced again has its old id and no contents.
    Kafka cannot erase: what its topics still hold, and until when, is printed. Workers must run, and
    whoever adds memories of this person should have stopped. Interrupted, it goes on when called again.

    \b
    Examples:
      agentmem forget --user alice --dry-run
      agentmem forget --project shop --user alice --yes --json
    """
    from agentmem.output import show_json

    scope = Scope(project, **named_ids(ids))
    if not scope.ids:
        raise click.UsageError("say who: --user, --agent, --app or --run")
    if not (yes or dry_run):
        if not sys.stdin.isatty():
            raise CommandError("nobody is here to be asked: give --yes, or --dry-run first", ExitCode.USAGE)
        click.confirm(f"Erase for good all memories of {scope.key}?", abort=True, err=True)
    settings = invocation.client_settings()
    report = running.run(_count(settings, scope) if dry_run else _forget(settings, scope, stall_s))
    if as_json:
        show_json(report)
        return
    for name, rows in report["rows"].items():
        click.echo(f"{name}: {rows}")
    for topic, until in report["kafka"].items():
        click.echo(
            f"{topic}: may still hold some of it until {until or 'somebody removes it: it has no retention'}"
        )


async def _count(settings: Settings, scope: Scope) -> dict[str, Any]:
    from infra.postgres import Database

    with closing(Database(settings.postgres)) as database:
        rows = await asyncio.to_thread(database.forgetting.remaining, scope)
    return {"project": scope.project, **scope.ids, "rows": rows, "kafka": await _kept(settings)}


async def _forget(settings: Settings, scope: Scope, stall_s: float) -> dict[str, Any]:
    from agentmem.actor import actor
    from agentmem.progress import progress_bar
    from agents.maintenance.forget import Forget, Stores
    from infra.postgres import Database
    from infra.weaviate import VectorIndex
    from streams.lag import LagReader
    from streams.producer import Producer
    from streams.topics import Topics

    topics = Topics.of(settings.kafka)
    async with AsyncExitStack() as stack:
        database = stack.enter_context(closing(Database(settings.postgres)))
        index = VectorIndex(settings.weaviate)
        stack.push_async_callback(index.close)
        await index.open()
        producer = await stack.enter_async_context(Producer(settings.kafka))
        requests = await stack.enter_async_context(LagReader(settings.kafka))
        webhooks = None
        told = await asyncio.to_thread(database.webhook_queue.active, {scope.project})
        if told and settings.webhooks.enabled:
            reader = LagReader(settings.kafka, topics.events, settings.kafka.webhook_group)
            webhooks = await stack.enter_async_context(reader)
        stores = Stores(database, index, producer, topics.requests, requests, webhooks)
        progress = stack.enter_context(progress_bar())
        task = progress.add_task("forgetting", total=None)
        tell: Tell = lambda what: progress.update(task, description=what)  # noqa: E731
        rows = await Forget(stores, actor(), stall_s, tell).run(scope)
    return {"project": scope.project, **scope.ids, "rows": dict(rows), "kafka": await _kept(settings)}


async def _kept(settings: Settings) -> dict[str, datetime | None]:
    from streams.inspection import read_topics
    from streams.retention import kept_until

    now = datetime.now(UTC)
    return {name: kept_until(state, now) for name, state in (await read_topics(settings.kafka)).items()}
