"""``agentmem verify``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from agentmem import running
from agentmem.exit_codes import ExitCode
from agentmem.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from agentmem.settings import Settings
    from agents.maintenance.verify import Report


@click.command()
@click.option("--project", help="Only of this project.")
@click.option("--repair", is_flag=True, help="Project again, from its row, whatever is wrong.")
@click.option("--dry-run", is_flag=True, help="With --repair: only say what would be repaired.")
@click.option(
    "--settle",
    "settle_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long a write may be in flight. [setting: worker.sweep_grace_s]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_invocation
def verify(
    invocation: Invocation,
    /,
    project: str | None,
    repair: bool,
    dry_run: bool,
    settle_s: float | None,
    as_json: bool,
) -> None:
    """Compare every memory in Postgres with its object in Weaviate, while writes go on.

    Finds what is missing or extra, of an old version, without its vector, or not found by it. What looks
    wrong is looked at again after a moment, as a write may be under way. Workers do the same all the time,
    slowly (setting worker.verify_rows_per_s). Exits with 0 when nothing is wrong or all was repaired, else
    with 1. To interrupt it harms nothing.

    \b
    Examples:
      agentmem verify
      agentmem verify --project shop --json | jq .drift
      agentmem verify --repair
    """
    from agentmem.output import show_json, show_table

    report = running.run(_verify(invocation.client_settings(), project, repair and not dry_run, settle_s))
    if as_json:
        show_json(_document(report))
    else:
        show_table(("memory", "drift"), [(one.id, one.drift) for one in report.named])
        kinds = ", ".join(f"{count} {kind}" for kind, count in report.drift.items()) or "no drift"
        click.echo(f"{report.checked} memories compared: {kinds}; {report.repaired} repaired", err=True)
    if report.remaining:
        sys.exit(ExitCode.FAILED)


async def _verify(settings: Settings, project: str | None, repair: bool, settle_s: float | None) -> Report:
    from agentmem.progress import progress_bar
    from agents.maintenance.verify import Verification
    from agents.projection import open_projection

    async with open_projection(settings.postgres, settings.weaviate, settings.embedding) as projection:
        settle_s = settings.worker.sweep_grace_s if settle_s is None else settle_s
        verification = Verification(projection.database, projection.projecting, settle_s)
        index = await projection.projecting.serving()
        with progress_bar() as progress:
            task = progress.add_task("memories compared", total=None)
            if not progress.disable:  # to count them takes its time
                live = await asyncio.to_thread(projection.database.count_after, None, project)
                progress.update(task, total=live)

            def tell(report: Report) -> None:
                found = f", {report.drift.total()} wrong" if report.drift else ""
                progress.update(task, completed=report.checked, description=f"memories compared{found}")

            return await verification.run(index, project, repair=repair, tell=tell)


def _document(report: Report) -> dict[str, Any]:
    return {
        "clean": not report.remaining,
        "checked": report.checked,
        "drift": {kind.value: count for kind, count in report.drift.items()},
        "repaired": report.repaired,
        "examples": [{"memory_id": one.id, "drift": one.drift, "version": one.version} for one in report.named],
    }
