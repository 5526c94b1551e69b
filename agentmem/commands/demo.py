"""``agentmem run``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import DEV_ENV, Invocation, pass_invocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentmem.dev_stack import DevStack
    from schemas.scope import Scope


@click.command()
@click.option("--once", is_flag=True, help="End after the demonstration, with 0 if all of it happened.")
@pass_invocation
def run(invocation: Invocation, once: bool) -> None:
    """Start the local stack, show what it does with a sample conversation, and keep it up until Ctrl-C.

    The first start downloads and builds what is missing.

    \b
    Examples:
      agentmem run
      agentmem run --once
    """
    from rich.console import Console

    from agentmem.dev_stack import DevStack
    from agentmem.running import run_until_signal
    from infra.local.errors import LocalStackError
    from infra.local.progress import Progress

    stack = DevStack(invocation, Path.cwd(), Progress(Console(stderr=True)), tied=True)
    try:
        code = run_until_signal(_show(invocation, stack, once=once))
    except LocalStackError as error:
        raise CommandError(str(error)) from error
    sys.exit(code)


async def _show(invocation: Invocation, stack: DevStack, *, once: bool) -> ExitCode:
    from agentmem.demonstration import demonstrate

    async with stack.whole():
        addresses = await stack.up()
        settings = invocation.settings(
            url=addresses["AGENTMEM_URL"],
            api_key=addresses["AGENTMEM_API_KEY"],
            kafka__bootstrap_servers=addresses["AGENTMEM_KAFKA_BOOTSTRAP_SERVERS"],
        )
        scope = await demonstrate(settings, click.echo)
        if not once:
            _what_next(addresses, scope)
            try:
                raise await stack.local.supervisor.first_end()
            except asyncio.CancelledError:
                # The end that was announced, not an interruption.
                pass
        await stack.down()
    return ExitCode.OK


def _what_next(addresses: Mapping[str, str], scope: Scope) -> None:
    url, key = addresses["AGENTMEM_URL"], addresses["AGENTMEM_API_KEY"]
    click.echo(f"""
The gateway is at {url}
Your API key is  {key}
(all addresses are in {DEV_ENV})

Try, in another terminal and this folder:

  curl {url}/v3/memories/search/ -H 'Authorization: Token {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"query": "Who comes to visit?", "filters": {{"user_id": "{scope.user_id}"}}}}'

  . .venv/bin/activate
  agentmem search "Who comes to visit?" --user {scope.user_id}
  agentmem tail

Ctrl-C stops everything; the data stays for the next start.""")
