"""``agentmem import``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final

import click

from agentmem import running
from agentmem.commands.scope import named_ids, scope_options
from agentmem.exit_codes import CommandError
from agentmem.invocation import Invocation, pass_invocation
from schemas.requests import DEFAULT_PROJECT

if TYPE_CHECKING:
    from agentmem.importing.outcomes import Outcomes
    from agentmem.importing.plan import Checked
    from agentmem.importing.progress import Bars
    from agentmem.importing.requests import LineReader, Record

#: Invalid lines that are told one by one; the rest are counted.
MAX_TOLD: Final = 20


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--project", default=DEFAULT_PROJECT, show_default=True, help="Project of chat messages.")
@scope_options
@click.option(
    "--request-prefix",
    default="import",
    show_default=True,
    metavar="TEXT",
    help="Begin the request ids of chat messages with this; another one imports the same file anew.",
)
@click.option("--skip-invalid", is_flag=True, help="Import the valid lines even if others are not.")
@click.option("--wait", is_flag=True, help="Wait until every request is applied and can be searched.")
@click.option(
    "--timeout",
    "stall_s",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="With --wait: give up when nothing is applied for so long.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@pass_invocation
def import_(
    invocation: Invocation,
    /,
    files: tuple[str, ...],
    project: str,
    request_prefix: str,
    skip_invalid: bool,
    wait: bool,
    stall_s: float,
    as_json: bool,
    **ids: str | None,
) -> None:
    """Publish files of JSON lines to Kafka; - is stdin, and gzip is recognised.

    Each line is a memory request (it has "op"), a memory that agentmem export wrote, or a chat message with
    "role", "content" and, if known, "name" and "timestamp"; whose messages they are is said by --user,
    --agent, --app and --run. All lines are checked before the first is published. The same import again
    stores nothing twice.

    \b
    Examples:
      agentmem import chat.jsonl --user alice --wait
      agentmem import requests.jsonl.gz
      cat *.jsonl | agentmem import - --user alice --run monday
    """
    from agentmem.importing.outcomes import Outcomes
    from agentmem.importing.plan import records
    from agentmem.importing.progress import Bars
    from agentmem.importing.publish import publish
    from agentmem.importing.requests import LineReader
    from agentmem.output import note

    started = time.monotonic()
    settings = invocation.client_settings().kafka
    reader = LineReader(project, named_ids(ids), settings.request_max_bytes)
    outcomes = Outcomes()
    with ExitStack() as stack:
        bars = stack.enter_context(Bars())
        checked = _check(files, reader, request_prefix, bars, stack)
        total, invalid = sum(item.valid for item in checked), sum(item.invalid for item in checked)
        if invalid and not skip_invalid:
            raise CommandError(
                f"{invalid} of {total + invalid} lines are not valid, so nothing was imported; "
                "--skip-invalid imports the others"
            )

        def all_records() -> Iterator[Record]:
            for item in checked:
                yield from records(item, reader)

        try:
            running.run(publish(all_records(), total, settings, outcomes, bars, stall_s if wait else None))
        except BaseException:
            note(
                f"Stopped with {outcomes.published} of {total} requests published. "
                "The same import again goes on; nothing is stored twice."
            )
            raise
    for failure in outcomes.failures:
        note(failure)
    _summarize(outcomes, invalid, time.monotonic() - started, wait, as_json)
    if outcomes.failed:
        raise CommandError(f"{outcomes.failed} of {outcomes.published} requests failed")


def _check(files: tuple[str, ...], reader: LineReader, prefix: str, bars: Bars, stack: ExitStack) -> list[Checked]:
    from agentmem.importing.plan import check
    from agentmem.importing.sources import open_source
    from agentmem.output import note

    told = 0

    def report(problem: str) -> None:
        nonlocal told
        told += 1
        if told <= MAX_TOLD:
            note(problem)
        elif told == MAX_TOLD + 1:
            note("further invalid lines are only counted")

    bar = bars.add("checked")
    checked = []
    for name in files:
        source = stack.enter_context(closing(open_source(name)))
        checked.append(check(source, reader, prefix, report, bar.step))
    return checked


def _summarize(outcomes: Outcomes, invalid: int, seconds: float, waited: bool, as_json: bool) -> None:
    from agentmem.output import show_json

    summary: dict[str, Any] = {"published": outcomes.published}
    if waited:
        summary |= {
            "succeeded": outcomes.succeeded,
            "failed": outcomes.failed,
            "unchanged": outcomes.unchanged,
        }
    summary |= {"skipped": invalid, "seconds": round(seconds, 1)}
    if as_json:
        show_json(summary)
    else:
        click.echo(", ".join(f"{value} {name}" for name, value in summary.items()))
