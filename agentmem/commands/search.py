"""``agentmem search``."""

from __future__ import annotations

from typing import Any

import click

from agentmem import running
from agentmem.commands.scope import named_ids, scope_options
from agentmem.invocation import Invocation, pass_invocation


@click.command()
@click.argument("query")
@scope_options
@click.option("--top-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="Memories at most.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Least score; 0 shows all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the gateway's answer as JSON.")
@pass_invocation
def search(
    invocation: Invocation, /, query: str, top_k: int, threshold: float, as_json: bool, **ids: str | None
) -> None:
    """Find the memories closest to QUERY in meaning.

    Name at least one of --user, --agent, --app and --run; ids compare exactly.

    \b
    Examples:
      agentmem search "where does she live?" --user alice
      agentmem search "open bugs" --agent helper --top-k 3 --json
    """
    named = named_ids(ids)
    if not named:
        raise click.UsageError("name whose memories to search: --user, --agent, --app or --run")
    from agentmem.client import GatewayClient
    from agentmem.output import note, show_json, show_table

    settings = invocation.client_settings()

    async def ask() -> Any:
        body = {"query": query, "filters": named, "top_k": top_k, "threshold": threshold}
        async with GatewayClient(settings) as gateway:
            return await gateway.call("POST", "/v3/memories/search/", body)

    answer = running.run(ask())
    if as_json:
        show_json(answer)
        return
    hits = answer["results"]
    show_table(
        ("score", "memory", "created", "id"),
        [(f"{hit['score']:.3f}", hit["memory"], hit["created_at"], hit["id"]) for hit in hits],
    )
    if not hits:
        note("Nothing found. A lower --threshold finds more.")
