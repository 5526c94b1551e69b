"""``agentmem restore``."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentmem import running
from agentmem.exit_codes import CommandError, ExitCode
from agentmem.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from agentmem.settings import Settings


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Drop what the database holds, if it holds anything.")
@click.option("--no-rebuild", is_flag=True, help="Leave the search index as it is.")
@click.option("--dry-run", is_flag=True, help="Only check that it could be restored, and say what would be.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_invocation
def restore(
    invocation: Invocation, /, folder: Path, replace: bool, no_rebuild: bool, dry_run: bool, as_json: bool
) -> None:
    """Restore the backup in FOLDER: set the workers' group back, fill Postgres, rebuild the search index.

    All workers and gateways must be stopped. In the Kafka cluster of the backup the workers then read on from
    where they were at that time, so nothing that came later is lost; in another one from the first record. When
    it is interrupted, start it again with --replace. The audit, too, is that of the backup; the restore stands
    in it.

    API keys and webhooks' secrets are those of the backup: what was revoked or rotated since is valid again, so
    revoke and rotate it once more. Logins are in no backup: their refresh tokens end.

    \b
    Examples:
      agentmem restore /backups/2026-01-31 --dry-run
      agentmem restore /backups/2026-01-31
    """
    from agentmem import backup as backups
    from agentmem import backup_audit as audit
    from agentmem.output import note, show_json
    from agentmem.progress import progress_bar
    from streams.inspection import read_group
    from streams.topics import ensure_topics

    settings = invocation.client_settings()
    manifest = backups.read(folder)
    tools = backups.tools(settings.postgres)
    if members := running.run(read_group(settings.kafka)).members:
        raise CommandError(f"the group {settings.kafka.group} has {members} members: stop all workers first")
    replaced = backups.check(manifest, tools, replace=replace)
    memories = f"{manifest.postgres.rows.get('memories', 0)} memories of {manifest.created_at}"
    if dry_run:
        if as_json:
            show_json(manifest.model_dump(mode="json"))
        else:
            instead = f", in place of {held}" if (held := replaced.get("memories")) else ""
            click.echo(f"would restore {memories}{instead}")
        return
    running.run(ensure_topics(settings.kafka))
    # First the group: killed in between, the workers read again what the database has. The other way round they
    # would skip what it lacks.
    offsets = running.run(backups.restore_position(settings.kafka, manifest))
    with progress_bar() as progress:
        progress.add_task("filling Postgres", total=None)
        backups.restore_postgres(folder, manifest, tools)
        audit.restored(settings.postgres, folder, manifest, replaced)
    refused, unknown = (0, []) if no_rebuild else running.run(_rebuilt(settings))
    if as_json:
        places = {str(one): at for one, at in offsets.items()}
        show_json({"rows": manifest.postgres.rows, "offsets": places, "unknown_collections": unknown})
    else:
        click.echo(f"restored {memories}")
    if unknown:
        note(f"the restored database knows nothing of {', '.join(unknown)}: delete what nobody uses in Weaviate")
    if refused:
        note(f"{refused} memories came with vectors that do not fit the model: no search finds them")
        sys.exit(ExitCode.FAILED)


async def _rebuilt(settings: Settings) -> tuple[int, list[str]]:
    """How many vectors were refused; and the collections that are left of what the database knew before."""
    from agentmem.commands.rebuild import rebuild_now
    from infra.postgres import Database
    from infra.weaviate import VectorIndex

    # Nobody searches the old collection: it need not be kept.
    done = await rebuild_now(settings, keep_s=0, show=lambda _: None)
    with closing(Database(settings.postgres)) as database:
        known = {one.name for one in database.collections.of(settings.weaviate.collection)}
    index = VectorIndex(settings.weaviate)
    try:
        await index.open()
        there = await index.collections()
    finally:
        await index.close()
    return len(done.refused), sorted(there - known)
