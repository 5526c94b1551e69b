"""``agentmem tail``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import click
import orjson

from agentmem import running
from agentmem.commands.scope import named_ids, scope_options
from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import Invocation, pass_invocation
from schemas.events import EventType

#: The gateway sends a comment more often than this; a longer silence is a lost connection.
SILENCE_S: Final = 60.0
#: Events about the stream itself, whose data is a sentence.
NOTICE: Final = "agentmem.stream."
RETRY_S: Final = (1.0, 2.0, 5.0)

#: What ``--type`` takes: the end of the event's type, such as ``added``.
TYPES: Final = tuple(event_type.value.rpartition(".")[2] for event_type in EventType)


@click.command()
@scope_options
@click.option("--type", "kinds", type=click.Choice(TYPES), multiple=True, help="Only this; repeat for more.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON.")
@pass_invocation
def tail(invocation: Invocation, /, kinds: tuple[str, ...], as_json: bool, **ids: str | None) -> None:
    """Print events as they happen, until Ctrl-C.

    They come from the gateway, and are those of the API key's project. A lost connection is made again,
    and nothing is missed, unless it took so long that Kafka no longer keeps what came meanwhile.

    \b
    Examples:
      agentmem tail
      agentmem tail --user alice --type added --type deleted
      agentmem tail --json | jq .data.memory.text
    """
    running.run(_follow(invocation, named_ids(ids), kinds, as_json))


async def _follow(invocation: Invocation, ids: dict[str, str], kinds: tuple[str, ...], as_json: bool) -> None:
    from agentmem.output import show_document

    params = dict(ids)
    if kinds:
        params["type"] = ",".join(kinds)
    async for event in _events(invocation, params):
        if as_json:
            show_document(event)
        else:
            click.echo(event_line(orjson.loads(event)))


async def _events(invocation: Invocation, params: dict[str, str]) -> AsyncIterator[str]:
    """The events' documents, over as many connections as it takes; the first one must succeed."""
    from agentmem.client import GatewayClient
    from agentmem.output import note
    from agentmem.sse import server_events

    last_id, connected, failures = "", False, 0
    async with GatewayClient(invocation.client_settings()) as gateway:
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            try:
                async with gateway.stream("/v1/events/stream", params, headers, SILENCE_S) as lines:
                    if failures:
                        note("connected again")
                    connected, failures = True, 0
                    async for event in server_events(lines):
                        last_id = event.id
                        if not event.data:
                            continue
                        if event.type.startswith(NOTICE):
                            note(event.data)
                        else:
                            yield event.data
                problem = "the gateway ended the stream"
            except CommandError as error:
                if not connected or error.code is not ExitCode.UNAVAILABLE:
                    raise
                problem = str(error)
            wait_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
            failures += 1
            note(f"{problem}; trying again in {wait_s:.0f} s")
            await asyncio.sleep(wait_s)


def event_line(event: dict[str, Any]) -> str:
    """One event for people: time, what happened, whose, and the text or the reason."""
    from agentmem.output import visible

    body = event["data"]
    parts = [event["time"], event["type"].rpartition(".")[2]]
    if memory := body.get("memory"):
        ids = (
            f"{kind}={memory[f'{kind}_id']}" for kind in ("user", "agent", "app", "run") if memory[f"{kind}_id"]
        )
        parts += [memory["id"], *ids, memory["text"]]
    else:
        parts += [f"request={body['request_id']}", *filter(None, (body.get("reason"), body.get("detail")))]
    return " ".join(visible(" ".join(part.split())) for part in parts)
