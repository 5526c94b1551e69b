"""``agentmem rebuild``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from agentmem import running
from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from agentmem.settings import Settings
    from agents.maintenance.planned import Plan
    from agents.maintenance.rebuild import Rebuild
    from agents.maintenance.rebuilt import Phase, Rebuilt
    from infra.postgres.collections import SearchCollection

_LOCK: Final = "rebuild"


@click.command()
@click.option(
    "--keep",
    "keep_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the old collection is kept after the switch.",
)
@click.option("--abandon", is_flag=True, help="Drop what an interrupted rebuild has built, and end.")
@click.option(
    "--drop-other-models", is_flag=True, help="Drop the collections of all other models, and end; see below."
)
@click.option("--dry-run", is_flag=True, help="Only say what there is and what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_invocation
def rebuild(
    invocation: Invocation,
    /,
    keep_s: float,
    abandon: bool,
    drop_other_models: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fill a new collection of the search index from Postgres, and let it take the place of the old one.

    Meanwhile the old one serves, and workers write to both. At the end gateways and workers go over to the
    new one by themselves, and the old one is dropped. When it is interrupted, start it again: it goes on
    where it was, and if the new one serves already, it only clears up and says so; one more start then
    builds another. A store that is down is waited for.

    For another model, give the new embedding settings to this command only, and when it has ended restart
    the workers and gateways with them, one by one. The old collection serves the others until then. When
    all are restarted: agentmem rebuild --drop-other-models.

    \b
    Examples:
      agentmem rebuild
      agentmem --set embedding.variant=int8 rebuild
      agentmem rebuild --abandon
    """
    from agentmem.output import note, show_json, show_table

    def show(done: Rebuilt) -> None:
        if as_json:
            show_json(asdict(done))
            return
        if done.built_before:
            click.echo(f"{done.collection} serves: the rebuild that was interrupted had built it")
            click.echo("nothing was built now: start it again for another one")
        elif done.collection:
            click.echo(f"{done.collection} serves: {done.filled} rows filled in, {done.caught_up} caught up")
        click.echo(f"dropped: {', '.join(done.dropped) or 'nothing'}")

    if abandon and drop_other_models:
        raise click.UsageError("--abandon and --drop-other-models exclude each other")
    settings = invocation.client_settings()
    if dry_run:
        known, plan = running.run(_plan(settings, abandon, drop_other_models))
        columns = ("name", "state", "model", "created_at", "filled_to")
        rows = [(one.name, one.state, one.model, one.created_at, one.filled_to) for one in known]
        if as_json:
            collections = [dict(zip(columns, row, strict=True)) for row in rows]
            show_json({**asdict(plan), "collections": collections})
            return
        show_table(columns, rows)
        if plan.would_build:
            what = f"go on with {plan.collection}" if plan.collection else "build a new collection"
            click.echo(f"would {what}")
        click.echo(f"would drop: {', '.join(plan.would_drop) or 'nothing'}")
        return
    done = running.run(rebuild_now(settings, keep_s, show, abandon, drop_other_models))
    if done.refused:
        note(f"{len(done.refused)} memories came with vectors that do not fit this model: no search finds them")
        sys.exit(ExitCode.FAILED)


async def _plan(settings: Settings, abandon: bool, drop_other_models: bool) -> tuple[list[SearchCollection], Plan]:
    """The collections that there are, and what would be done with them."""
    from agentmem.actor import actor
    from agents.maintenance.planned import Plan, given_up, of_other_models
    from agents.maintenance.rebuild import Rebuild
    from agents.projection import open_projection

    async with open_projection(settings.postgres, settings.weaviate, settings.embedding) as projection:
        work = Rebuild(projection, actor(), 0, lambda *_: None)
        known = await work.known()
        if not (abandon or drop_other_models):
            return known, await work.plan()
        gone = (given_up if abandon else of_other_models)(known, str(projection.model))
        return known, Plan(False, None, [one.name for one in gone])


async def rebuild_now(
    settings: Settings,
    keep_s: float,
    show: Callable[[Rebuilt], None],
    abandon: bool = False,
    drop_other_models: bool = False,
) -> Rebuilt:
    """Do it with a bar on the terminal; what was done is shown before it counts as finished."""
    from agentmem.actor import actor
    from agentmem.progress import progress_bar
    from agents import failpoints
    from agents.maintenance.rebuild import Rebuild
    from agents.projection import open_projection

    failpoints.arm(os.environ)
    async with open_projection(settings.postgres, settings.weaviate, settings.embedding) as projection:
        with projection.database.exclusively(_LOCK) as alone:
            if not alone:
                raise CommandError("a rebuild is under way already")
            with progress_bar() as progress:
                task = progress.add_task("rebuild", total=None)

                def tell(phase: Phase, done: Rebuilt) -> None:
                    total = done.rows + done.caught_up if done.rows else None
                    completed = done.filled + done.caught_up
                    progress.update(task, description=phase.value, completed=completed, total=total)

                work: Rebuild = Rebuild(projection, actor(), keep_s, tell)
                if abandon:
                    done = await work.abandon()
                elif drop_other_models:
                    done = await work.drop_other_models()
                else:
                    done = await work.run()
            show(done)
            await work.finish()
            return done
