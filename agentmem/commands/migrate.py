"""``agentmem migrate``."""

from __future__ import annotations

import click

from agentmem.invocation import Invocation, pass_invocation


@click.command()
@pass_invocation
def migrate(invocation: Invocation) -> None:
    """Bring the Postgres schema up to date. Does nothing when it is.

    \b
    Example:
      AGENTMEM_POSTGRES_DSN=postgresql://me@db/agentmem agentmem migrate
    """
    from infra.postgres.migrate import upgrade

    applied = upgrade(invocation.settings().postgres)
    for revision in applied:
        click.echo(f"applied {revision}")
    if not applied:
        click.echo("the schema is up to date")
