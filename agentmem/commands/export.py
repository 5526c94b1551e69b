"""``agentmem export``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from agentmem.commands.scope import named_ids, scope_options
from agentmem.durations import Moment
from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import Invocation, pass_invocation
from schemas.requests import DEFAULT_PROJECT
from schemas.scope import Scope

if TYPE_CHECKING:
    from agentmem.settings import Settings


@click.command()
@click.argument("file", default="-", metavar="[FILE]")
@click.option("--project", default=DEFAULT_PROJECT, show_default=True, help="The project.")
@scope_options
@click.option("--as-of", type=Moment(), help="As they were at this moment (ISO 8601), instead of now.")
@click.option("--history", is_flag=True, help="With every version of each memory.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, on stderr if FILE is -.")
@pass_invocation
def export(
    invocation: Invocation,
    /,
    file: str,
    project: str,
    as_of: datetime | None,
    history: bool,
    dry_run: bool,
    as_json: bool,
    **ids: str | None,
) -> None:
    """Write the memories of a project, or of a scope, into FILE (- is stdout), one JSON object a line.

    All are as they stand at one moment, expired ones too, deleted ones not. The file appears when it is
    whole; one that ends with .gz is compressed. agentmem import takes it: it adds the memories again, with
    their texts, times, metadata and expiry, under new ids, and twice changes nothing. To keep ids, versions
    and history, back up the database.

    \b
    Examples:
      agentmem export --user alice > alice.jsonl
      agentmem export shop.jsonl.gz --project shop --history
      agentmem export - --user alice --as-of 2026-01-31T12:00:00Z | jq .text
    """
    import orjson

    from agentmem.output import harmless, note

    scope = Scope(project, **named_ids(ids))
    count = 0
    with _output(file, dry_run) as output:
        # Where the lines themselves are seen, a bar would be in their way.
        seen = output is sys.stdout.buffer and sys.stdout.isatty()
        for line in _lines(invocation.client_settings(), scope, as_of, history, not seen):
            if output is not None:
                output.write(harmless(line.decode()).encode() if seen else line)
            count += 1
    summary = orjson.dumps({"memories": count}).decode() if as_json else f"{count} memories"
    (note if file == "-" and not dry_run else click.echo)(summary)


def _lines(settings: Settings, scope: Scope, as_of: datetime | None, history: bool, bar: bool) -> Iterator[bytes]:
    import orjson

    from agentmem.progress import progress_bar
    from infra.postgres import Database
    from infra.postgres.interrupting import make_queries_interruptible
    from schemas.exports import exported

    make_queries_interruptible()
    with closing(Database(settings.postgres)) as database, progress_bar(shown=bar) as progress:
        task = progress.add_task("memories exported", total=None)
        with closing(database.exporting.memories(scope, as_of, history=history)) as found:
            for memory, versions in found:
                yield orjson.dumps(exported(memory, versions)) + b"\n"
                progress.advance(task)


@contextmanager
def _output(file: str, dry_run: bool) -> Iterator[IO[bytes] | None]:
    from agentmem.atomic_file import atomic_file

    if dry_run:
        yield None
    elif file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        try:
            with atomic_file(Path(file)) as output:
                yield output
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}", ExitCode.USAGE) from error
