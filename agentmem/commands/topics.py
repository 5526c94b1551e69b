"""``agentmem topics``."""

from __future__ import annotations

import click

from agentmem import running
from agentmem.invocation import Invocation, pass_invocation


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: each topic, and whether it was made."
)
@pass_invocation
def topics(invocation: Invocation, /, as_json: bool) -> None:
    """Make the Kafka topics that are missing. Topics that exist stay as they are.

    \b
    Examples:
      agentmem topics
      agentmem --set kafka.partitions=12 --set kafka.replication_factor=3 topics
    """
    from agentmem.output import show_json
    from streams.topics import ensure_topics

    topics = running.run(ensure_topics(invocation.settings().kafka))
    if as_json:
        show_json(topics)
        return
    for name, made in topics.items():
        click.echo(f"{name}: {'made' if made else 'exists'}")
