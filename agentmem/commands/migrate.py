"""``agentmem migrate``."""

from __future__ import annotations

import click

from agentmem.invocation import Invocation, pass_invocation


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the revisions applied.")
@pass_invocation
def migrate(invocation: Invocation, /, as_json: bool) -> None:
    """Bring the Postgres schema up to date. Does nothing when it is.

    \b
    Example:
      AGENTMEM_POSTGRES_DSN=postgresql://me@db/agentmem agentmem migrate
    """
    from agentmem.output import show_json
    from infra.postgres.migrate import upgrade

    applied = upgrade(invocation.settings().postgres)
    if as_json:
        show_json({"applied": applied})
        return
    for revision in applied:
        click.echo(f"applied {revision}")
    if not applied:
        click.echo("the schema is up to date")
