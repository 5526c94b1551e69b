"""``agentmem backup``."""

from __future__ import annotations

from pathlib import Path

import click

from agentmem import running
from agentmem.invocation import Invocation, pass_invocation


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only check that it could be made, and from where.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as one JSON object.")
@pass_invocation
def backup(invocation: Invocation, /, folder: Path, dry_run: bool, as_json: bool) -> None:
    """Write a backup into FOLDER: a dump of Postgres, and where the workers were before it.

    Everything goes on meanwhile. It needs pg_dump of the server's version or newer, from PATH or the local
    stack's package; the image agentmem-operator has it. FOLDER appears when it is complete. It holds every
    memory and the hashes of all API keys: keep it as safe as the database. The audit has who made it.

    \b
    Examples:
      agentmem backup /backups/2026-01-31
      agentmem backup /backups/2026-01-31 --json | jq .postgres.rows.memories
    """
    from agentmem import backup as backups
    from agentmem import backup_audit as audit
    from agentmem.output import show_json
    from agentmem.progress import progress_bar

    settings = invocation.client_settings()
    backups.check_new(folder)
    tools = backups.tools(settings.postgres)
    position = running.run(backups.position(settings.kafka))
    if dry_run:
        show_json(position.model_dump()) if as_json else click.echo(f"would write {folder}")
        return
    with progress_bar() as progress:
        progress.add_task("dumping Postgres", total=None)
        audit.backup_starts(settings.postgres, folder)
        manifest = backups.write(folder, position, tools)
        audit.backed_up(settings.postgres, folder, manifest)
    if as_json:
        show_json(manifest.model_dump(mode="json"))
    else:
        rows = manifest.postgres.rows.get("memories", 0)
        click.echo(f"{folder}: {rows} memories, {manifest.postgres.bytes:,} bytes")
