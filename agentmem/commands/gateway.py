"""``agentmem gateway``."""

from __future__ import annotations

import sys
from typing import Final

import click

from agentmem.allocator import give_memory_back
from agentmem.invocation import Invocation, pass_invocation

#: What a gateway uses.
_SECTIONS: Final = ("kafka", "postgres", "weaviate", "embedding", "gateway", "webhooks", "log")


@click.command()
@click.option("--host", help="Address to listen on. [setting: gateway.host]")
@click.option("--port", type=int, help="Port to listen on. [setting: gateway.port]")
@pass_invocation
def gateway(invocation: Invocation, /, host: str | None, port: int | None) -> None:
    """Serve the HTTP API until stopped.

    Settings marked live in docs/settings.md follow the settings file when it changes, and at SIGHUP.

    \b
    Examples:
      agentmem gateway
      agentmem gateway --port 9000
    """
    give_memory_back()
    from gateway.server import run_gateway

    live = invocation.live_settings(_SECTIONS, gateway__host=host, gateway__port=port)
    settings = live.settings
    sys.exit(
        run_gateway(
            gateway=settings.gateway,
            kafka=settings.kafka,
            postgres=settings.postgres,
            weaviate=settings.weaviate,
            embedding=settings.embedding,
            webhooks=settings.webhooks,
            configuration=live,
        )
    )
