"""``agentmem stack``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import DEV_ENV, Invocation, pass_invocation

if TYPE_CHECKING:
    from agentmem.dev_stack import DevStack

_name = click.option("--name", help="Name of the stack; a folder may have several. [setting: local.name]")


@click.group()
def stack() -> None:
    """The local stack of this folder: Kafka, Postgres, Weaviate, a worker and the gateway, without Docker."""


@stack.command()
@_name
@click.option("--stores-only", is_flag=True, help="Only Kafka, Postgres and Weaviate.")
@pass_invocation
def up(invocation: Invocation, name: str | None, stores_only: bool) -> None:
    """Start the stack in the background. Does nothing when it runs.

    The first start downloads and builds what is missing. The addresses and an API key are written to
    .agentmem/dev.env.

    \b
    Examples:
      agentmem stack up
      set -a; . .agentmem/dev.env; set +a
    """
    from agentmem.running import run_until_signal
    from infra.local.errors import LocalStackError

    the_stack = _stack(invocation, name)

    async def start() -> ExitCode:
        async with the_stack.whole():
            if not the_stack.is_up(stores_only=stores_only):
                await the_stack.up(stores_only=stores_only)
        return ExitCode.OK

    try:
        code = run_until_signal(start())
    except LocalStackError as error:
        raise CommandError(str(error)) from error
    if code is ExitCode.OK:
        click.echo(f"The stack runs; its addresses are in {DEV_ENV}. agentmem stack down stops it.")
    sys.exit(code)


@stack.command()
@_name
@pass_invocation
def down(invocation: Invocation, name: str | None) -> None:
    """Stop the stack, also one that runs in another terminal. Its data stays.

    \b
    Example:
      agentmem stack down
    """
    from agentmem.running import run_until_signal
    from infra.local.errors import LocalStackError

    the_stack = _stack(invocation, name)

    async def stop() -> ExitCode:
        ended = await the_stack.local.end_owner()
        async with the_stack.local.owned():
            ended = await the_stack.down() or ended
        click.echo("The stack is stopped." if ended else "The stack was not running.")
        return ExitCode.OK

    try:
        sys.exit(run_until_signal(stop()))
    except LocalStackError as error:
        raise CommandError(str(error)) from error


@stack.command()
@_name
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@pass_invocation
def status(invocation: Invocation, name: str | None, as_json: bool) -> None:
    """Show what runs and where. Exits with 1 when something does not run.

    \b
    Examples:
      agentmem stack status
      agentmem stack status --json | jq -r .addresses.AGENTMEM_URL
    """
    from agentmem.output import note, show_json, show_table

    the_stack = _stack(invocation, name)
    services, addresses = the_stack.services(), the_stack.addresses
    # Without addresses it is only starting, or did not come up.
    running = bool(addresses) and all(service["running"] for service in services.values())
    if as_json:
        document = {"name": the_stack.local.name, "directory": str(the_stack.local.directory), "running": running}
        show_json({**document, "services": services, "addresses": addresses})
    else:
        rows = [
            (name, f"runs as {service['pid']}" if service["running"] else "ended", service["log"])
            for name, service in services.items()
        ]
        show_table(("service", "state", "log"), rows)
        show_table(("variable", "value"), sorted(addresses.items()))
        if not services:
            note("The stack is not running. agentmem stack up starts it.")
    sys.exit(ExitCode.OK if running else ExitCode.FAILED)


def _stack(invocation: Invocation, name: str | None) -> DevStack:
    from rich.console import Console

    from agentmem.dev_stack import DevStack
    from infra.local.progress import Progress

    named = {"local.name": name} if name else {}
    invocation = Invocation(invocation.config, {**invocation.overrides, **named})
    return DevStack(invocation, Path.cwd(), Progress(Console(stderr=True)))
