"""``agentmem migrate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import Invocation, pass_invocation


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the revisions applied.")
@click.pass_context
def migrate(ctx: click.Context, as_json: bool) -> None:
    """Bring the Postgres schema up to date. Does nothing when it is.

    A migration only adds, so workers and gateways of the version before go on working. See the page Upgrade.

    \b
    Examples:
      AGENTMEM_POSTGRES_DSN=postgresql://me@db/agentmem agentmem migrate
      agentmem migrate status
      agentmem migrate down 0004 --dry-run
    """
    from infra.postgres.interrupting import make_queries_interruptible

    make_queries_interruptible()  # a migration may take long, and waits for another one
    if ctx.invoked_subcommand is None:
        ctx.invoke(up, as_json=as_json, dry_run=False)


@migrate.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be applied.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the revisions applied.")
@pass_invocation
def up(invocation: Invocation, /, dry_run: bool, as_json: bool) -> None:
    """Apply what is missing, in one transaction; also what plain `migrate` does.

    \b
    Example:
      agentmem migrate up --dry-run
    """
    from agentmem.output import show_json
    from infra.postgres.migrate import status, upgrade

    settings = invocation.settings().postgres
    revisions = list(status(settings).missing)
    if not dry_run:
        with _telling(len(revisions)) as tell:
            revisions = upgrade(settings, tell=tell)
    if as_json:
        show_json({"applied": [] if dry_run else revisions, "missing": revisions if dry_run else []})
        return
    for revision in revisions:
        click.echo(f"{'would apply' if dry_run else 'applied'} {revision}")
    if not revisions:
        click.echo("the schema is up to date")


@migrate.command()
@click.argument("revision")
@click.option("--dry-run", is_flag=True, help="Only say what would be undone.")
@click.option("--yes", is_flag=True, help="Undo it, with the data in the tables and columns that go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the revisions undone.")
@pass_invocation
def down(invocation: Invocation, /, revision: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Undo the migrations after REVISION (base: all), in one transaction.

    It is hardly ever needed: the version before runs on the schema as it is. What the undone migrations
    added is lost with its data.

    \b
    Examples:
      agentmem migrate down 0004 --dry-run
      agentmem migrate down 0004 --yes
    """
    from agentmem.output import show_json
    from infra.postgres.migrate import downgrade, status

    settings = invocation.settings().postgres
    applied = status(settings).applied
    if revision not in (*applied, "base"):
        raise CommandError(f"{revision} is not applied; applied: {', '.join(applied) or 'none'}", ExitCode.USAGE)
    undone = list(applied if revision == "base" else applied[applied.index(revision) + 1 :])[::-1]
    if undone and not dry_run:
        if not yes:
            raise CommandError(f"this loses what {', '.join(undone)} hold: add --yes", ExitCode.USAGE)
        with _telling(len(undone)) as tell:
            undone = downgrade(settings, revision, tell)
    if as_json:
        show_json({"undone": [] if dry_run else undone, "would_undo": undone if dry_run else []})
        return
    for one in undone:
        click.echo(f"{'would undo' if dry_run else 'undone'} {one}")
    if not undone:
        click.echo("nothing to undo")


@migrate.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_invocation
def status(invocation: Invocation, /, as_json: bool) -> None:
    """Show where the schema is. Exits with 1 when something is missing.

    \b
    Example:
      agentmem migrate status --json | jq -r .revision
    """
    from agentmem.output import show_json, show_table
    from infra.postgres.migrate import status as read_status

    found = read_status(invocation.client_settings().postgres)
    if as_json:
        show_json(
            {"revision": found.revision, "applied": found.applied, "missing": found.missing, "newer": found.newer}
        )
    else:
        rows = [(one, "applied") for one in found.applied] + [(one, "missing") for one in found.missing]
        show_table(
            ("revision", "state"), [*rows, *([(found.revision, "of a later version")] if found.newer else [])]
        )
    if found.missing:
        sys.exit(ExitCode.FAILED)


@contextmanager
def _telling(count: int) -> Iterator[Callable[[str], None]]:
    from agentmem.progress import progress_bar

    with progress_bar() as progress:
        task = progress.add_task("migrations", total=count)
        yield lambda revision: progress.update(task, advance=1, description=f"migration {revision}")
