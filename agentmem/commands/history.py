"""``agentmem history``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import UUID

import click

from agentmem import running
from agentmem.commands.scope import named_ids, scope_options
from agentmem.durations import Moment
from agentmem.invocation import Invocation, pass_invocation
from schemas.times import format_instant

if TYPE_CHECKING:
    from agentmem.client import GatewayClient

#: Memories of a past moment that are asked for at a time.
_PAGE: Final = 500


@click.command()
@click.argument("memory_id", type=click.UUID, required=False)
@scope_options
@click.option("--as-of", type=Moment(), help="What stood at this moment (ISO 8601): of a memory, or of a scope.")
@click.option("--json", "as_json", is_flag=True, help="Print the gateway's answer as JSON.")
@pass_invocation
def history(
    invocation: Invocation,
    /,
    memory_id: UUID | None,
    as_of: datetime | None,
    as_json: bool,
    **ids: str | None,
) -> None:
    """Show every version of a memory, oldest first; a deleted one too. Or what stood at a past moment.

    \b
    Examples:
      agentmem history 2f7f3f0e-3a52-5a63-9a41-0f6a3f0c2b11
      agentmem history --user alice --as-of 2026-01-31T12:00:00Z
    """
    from agentmem.client import GatewayClient
    from agentmem.output import show_json, show_table

    scope = named_ids(ids)
    if (memory_id is None) == (not scope) or (as_of is None and scope):
        raise click.UsageError("give a memory's id, or --as-of with --user, --agent, --app or --run")
    settings = invocation.client_settings()

    async def ask() -> Any:
        async with GatewayClient(settings) as gateway:
            if as_of is None:
                return await gateway.call("GET", f"/v1/memories/{memory_id}/history/")
            if memory_id is None:
                return await _listed(gateway, scope, as_of)
            return [await gateway.call("GET", f"/v1/memories/{memory_id}/?as_of={_time(as_of)}&show_expired=true")]

    found = running.run(ask())
    if as_json:
        show_json(found)
        return
    if as_of is None:
        found = [{**one, "time": one["updated_at"] or one["created_at"]} for one in found]
        columns = {"time": "time", "event": "event", "old": "old_memory", "new": "new_memory"}
    else:
        columns = {"id": "id", "version": "version", "time": "updated_at", "memory": "memory"}
    show_table(tuple(columns), [[one[name] for name in columns.values()] for one in found])


async def _listed(gateway: GatewayClient, scope: dict[str, str], as_of: datetime) -> list[Any]:
    """All memories of the scope as they stood then, newest first; those that had expired by then not."""
    from agentmem.progress import progress_bar

    filters = {"AND": [{name: value} for name, value in scope.items()]}
    body = {"filters": filters, "as_of": format_instant(as_of), "page_size": _PAGE}
    found: list[Any] = []
    with progress_bar() as progress:
        task = progress.add_task("memories", total=None)
        while True:
            page = await gateway.call("POST", "/v3/memories/", {**body, "page": len(found) // _PAGE + 1})
            found += page["results"]
            progress.update(task, completed=len(found), total=page["count"])
            if page["next"] is None:
                return found


def _time(moment: datetime) -> str:
    return quote(format_instant(moment), safe="")
