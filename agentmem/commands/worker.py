"""``agentmem worker``."""

from __future__ import annotations

import sys
from typing import Final

import click

from agentmem.allocator import give_memory_back
from agentmem.invocation import Invocation, pass_invocation

#: What a worker uses.
_SECTIONS: Final = (
    *("kafka", "window", "postgres", "weaviate", "embedding", "worker", "webhooks", "telemetry", "log"),
)


@click.command()
@pass_invocation
def worker(invocation: Invocation) -> None:
    """Apply memory requests from Kafka until stopped.

    Takes requests from memory-requests, stores and indexes them, and announces the changes on
    memory-events. Any number of workers share the work. SIGTERM or Ctrl-C stops it cleanly. Settings marked live
    in docs/settings.md follow the settings file when it changes, and at SIGHUP.

    \b
    Examples:
      agentmem worker
      agentmem --set window.max_records=512 --set embedding.variant=int8 worker
    """
    give_memory_back()
    from agents.worker import run_worker

    live = invocation.live_settings(_SECTIONS)
    settings = live.settings
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
            beside=live.watch,
        )
    )
