"""``agentmem dlq``: what was set aside, and what to do with it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from agentmem import running
from agentmem.commands.dead_letter_options import PATCH, DeadLetterId, selection_options
from agentmem.exit_codes import ExitCode
from agentmem.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from agentmem.dead_letters.replay import Replayed
    from agentmem.dead_letters.selection import Selection
    from streams.dead_letter_log import DeadLetter

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.group()
def dlq() -> None:
    """List, show, replay and drop dead letters: records that could not be applied.

    A dead letter is called by its partition and offset in the topic memory-dlq, as list shows it. What
    was replayed or dropped stays in Kafka for as long as the topic's retention, and is not listed any
    more; the audit in Postgres knows who did it.

    \b
    Examples:
      agentmem dlq list --reason invalid_vector --since 2026-01-31T12:00:00Z
      agentmem dlq show 3/17
      agentmem dlq replay --reason rejected_by_store --dry-run
      agentmem dlq replay 3/17 --patch '{"vector": null}'
      agentmem dlq drop --source memory-requests/3
    """


@dlq.command(name="list")
@selection_options
@click.option("--all", "handled", is_flag=True, help="Also those that were replayed or dropped.")
@click.option("-n", "limit", type=click.IntRange(min=1), metavar="COUNT", help="End after so many.")
@json_option
@pass_invocation
def list_(
    invocation: Invocation, /, selection: Selection, handled: bool, limit: int | None, as_json: bool
) -> None:
    """List dead letters, oldest first: those that nobody has dealt with, of all projects."""
    from agentmem.dead_letters.operations import summaries
    from agentmem.dead_letters.showing import COLUMNS
    from agentmem.output import show_json, show_table

    rows = running.run(summaries(invocation.client_settings(), selection, handled, limit))
    if as_json:
        for row in rows:
            show_json(row)
        return
    show_table(COLUMNS, [[row[column] for column in COLUMNS] for row in rows])


@dlq.command()
@click.argument("letter", type=DeadLetterId(), metavar="ID")
@json_option
@pass_invocation
def show(invocation: Invocation, /, letter: tuple[int, int], as_json: bool) -> None:
    """Print all of a dead letter: why it is one, and its headers, key and value."""
    from agentmem.dead_letters.operations import one
    from agentmem.dead_letters.showing import document, lines
    from agentmem.output import show_json

    listed = running.run(one(invocation.client_settings(), letter))
    if as_json:
        show_json(document(listed))
        return
    for line in lines(listed):
        click.echo(line)


@dlq.command()
@click.argument("letters", type=DeadLetterId(), nargs=-1, metavar="[ID]...")
@selection_options
@click.option("--patch", type=PATCH, help="Change the value first by a JSON merge patch (RFC 7396): null removes.")
@click.option("--edit", is_flag=True, help="Change the value first in your editor ($EDITOR).")
@dry_run_option
@json_option
@pass_invocation
def replay(
    invocation: Invocation,
    /,
    letters: Sequence[tuple[int, int]],
    selection: Selection,
    patch: dict[str, Any] | None,
    edit: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish dead letters again: those with these IDs, or those of a selection that nobody dealt with.

    Each keeps its bytes, its key and its own headers. To replay one twice is harmless: a request that was
    applied meanwhile changes nothing. A request that had failed for good is opened again, which the audit
    records; should it fail again, it is a new dead letter. What would be set aside again (no valid
    request, or an id that stands for another request) is refused: change it with --patch or --edit. So
    is a request of memories that were forgotten since. Each is told of when it is done: interrupted, start
    it again for the others.
    """
    from agentmem.dead_letters.editing import edited, patched
    from agentmem.dead_letters.operations import replay_all

    if edit and (patch is not None or len(letters) != 1):
        raise click.UsageError("--edit takes one ID, and no --patch")
    _check(letters, selection)

    def change(letter: DeadLetter) -> bytes | None:
        if edit:
            return edited(letter)
        return None if patch is None else patched(letter, patch)

    refused = 0

    def tell(one: Replayed) -> None:
        nonlocal refused
        refused += one.refused is not None
        _show_replayed(one, dry_run, as_json)

    running.run(replay_all(invocation.client_settings(), selection, letters, change, dry_run, tell))
    if refused:
        sys.exit(ExitCode.FAILED)


@dlq.command()
@click.argument("letters", type=DeadLetterId(), nargs=-1, metavar="[ID]...")
@selection_options
@click.option("--note", help="Why, for the audit.")
@dry_run_option
@json_option
@pass_invocation
def drop(
    invocation: Invocation,
    /,
    letters: Sequence[tuple[int, int]],
    selection: Selection,
    note: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Mark dead letters as dealt with: those with these IDs, or those of a selection.

    Kafka cannot remove one record, so they stay in the topic for as long as its retention. They are not
    listed any more, except with --all, and can still be shown and replayed by their IDs.
    """
    from agentmem.dead_letters.operations import drop_all
    from agentmem.output import show_json

    _check(letters, selection)

    def tell(dropped: dict[str, Any]) -> None:
        if as_json:
            show_json(dropped)
        else:
            click.echo(f"{dropped['id']}: {'would be dropped' if dry_run else 'dropped'}")

    running.run(drop_all(invocation.client_settings(), selection, letters, note, dry_run, tell))


def _check(letters: Sequence[tuple[int, int]], selection: Selection) -> None:
    if bool(letters) == (not selection.is_all):
        raise click.UsageError("name dead letters by their IDs, or select them by --reason, --since and so on")


def _show_replayed(one: Replayed, dry_run: bool, as_json: bool) -> None:
    from agentmem.output import show_json, visible

    if as_json:
        state = "refused" if one.refused else "planned" if dry_run else "replayed"
        document = {"id": one.id, "request_id": one.request_id, "state": state}
        show_json(document | {"reopened": one.reopened, "refused": one.refused})
        return
    done = "would be replayed" if dry_run else "replayed"
    why = f"not replayed: {one.refused}" if one.refused else done + (", opened again" * one.reopened)
    click.echo(f"{one.id}: {visible(why)}")
