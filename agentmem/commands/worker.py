"""``agentmem worker``."""

from __future__ import annotations

import sys

import click

from agentmem.invocation import Invocation, pass_invocation


@click.command()
@pass_invocation
def worker(invocation: Invocation) -> None:
    """Apply memory requests from Kafka until stopped.

    Takes requests from memory-requests, stores and indexes them, and announces the changes on
    memory-events. Any number of workers share the work. SIGTERM or Ctrl-C stops it cleanly.

    \b
    Examples:
      agentmem worker
      agentmem --set window.max_records=512 --set embedding.variant=int8 worker
    """
    from agentmem.logs import configure_logging
    from agents.worker import run_worker

    settings = invocation.settings()
    configure_logging(settings.log)
    sys.exit(
        run_worker(
            kafka=settings.kafka,
            window=settings.window,
            postgres=settings.postgres,
            weaviate=settings.weaviate,
            embedding=settings.embedding,
            worker=settings.worker,
            webhooks=settings.webhooks,
            telemetry=settings.telemetry,
        )
    )
