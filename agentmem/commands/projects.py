"""``agentmem projects``."""

from __future__ import annotations

import click

from agentmem.invocation import Invocation, pass_invocation


@click.group()
def projects() -> None:
    """Make and list projects, straight in the database.

    A project is a wall: no key of one reads, writes or counts anything of another.

    \b
    Examples:
      agentmem projects create shop
      agentmem projects list
    """


@projects.command()
@click.argument("project")
@pass_invocation
def create(invocation: Invocation, /, project: str) -> None:
    """Make a project. Does nothing when it is there."""
    from infra.postgres import Database

    if not 1 <= len(project) <= 128 or not project.isprintable():
        raise click.BadParameter("a project's name has 1 to 128 printable characters")
    database = Database(invocation.client_settings().postgres)
    try:
        made = database.credentials.create_project(project)
    finally:
        database.close()
    click.echo(f"{project}: {'made' if made else 'exists'}")


@projects.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_invocation
def list_(invocation: Invocation, /, as_json: bool) -> None:
    """List the projects, oldest first."""
    from agentmem.output import show_json, show_table
    from infra.postgres import Database

    database = Database(invocation.client_settings().postgres)
    try:
        found = database.credentials.projects()
    finally:
        database.close()
    if as_json:
        show_json([{"project": project, "created_at": created_at} for project, created_at in found])
        return
    show_table(("project", "created_at"), found)
