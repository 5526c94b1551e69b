"""``agentmem gateway``."""

from __future__ import annotations

import sys

import click

from agentmem.invocation import Invocation, pass_invocation


@click.command()
@click.option("--host", help="Address to listen on. [setting: gateway.host]")
@click.option("--port", type=int, help="Port to listen on. [setting: gateway.port]")
@pass_invocation
def gateway(invocation: Invocation, /, host: str | None, port: int | None) -> None:
    """Serve the HTTP API until stopped.

    \b
    Examples:
      agentmem gateway
      agentmem gateway --port 9000
    """
    from agentmem.logs import configure_logging
    from gateway.server import run_gateway

    settings = invocation.settings(gateway__host=host, gateway__port=port)
    configure_logging(settings.log)
    sys.exit(
        run_gateway(
            gateway=settings.gateway,
            kafka=settings.kafka,
            postgres=settings.postgres,
            weaviate=settings.weaviate,
            embedding=settings.embedding,
            webhooks=settings.webhooks,
        )
    )
