"""``agentmem history``."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import click

from agentmem.invocation import Invocation, pass_invocation


@click.command()
@click.argument("memory_id", type=click.UUID)
@click.option("--json", "as_json", is_flag=True, help="Print the gateway's answer as JSON.")
@pass_invocation
def history(invocation: Invocation, /, memory_id: UUID, as_json: bool) -> None:
    """Show every version of a memory, oldest first; a deleted one too.

    \b
    Example:
      agentmem history 2f7f3f0e-3a52-5a63-9a41-0f6a3f0c2b11
    """
    from agentmem.client import GatewayClient
    from agentmem.output import show_json, show_table

    settings = invocation.client_settings()

    async def ask() -> Any:
        async with GatewayClient(settings) as gateway:
            return await gateway.call("GET", f"/v1/memories/{memory_id}/history/")

    entries = asyncio.run(ask())
    if as_json:
        show_json(entries)
        return
    show_table(
        ("time", "event", "old", "new"),
        [
            (entry["updated_at"] or entry["created_at"], entry["event"], entry["old_memory"], entry["new_memory"])
            for entry in entries
        ],
    )
