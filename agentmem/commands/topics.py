"""``agentmem topics``."""

from __future__ import annotations

import asyncio

import click

from agentmem.invocation import Invocation, pass_invocation


@click.command()
@pass_invocation
def topics(invocation: Invocation) -> None:
    """Make the Kafka topics that are missing. Topics that exist stay as they are.

    \b
    Examples:
      agentmem topics
      agentmem --set kafka.partitions=12 --set kafka.replication_factor=3 topics
    """
    from streams.topics import ensure_topics

    for name, made in asyncio.run(ensure_topics(invocation.settings().kafka)).items():
        click.echo(f"{name}: {'made' if made else 'exists'}")
