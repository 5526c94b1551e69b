"""What the audit keeps of backups and restores: who, which one, how many rows; nothing that they hold."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from agentmem.actor import actor
from agentmem.backup import Manifest
from infra.postgres import Database, PostgresSettings
from infra.postgres.audit import AuditEntry


def backup_starts(settings: PostgresSettings, folder: Path) -> None:
    """Before anything leaves the database: a backup that cannot be written down is not made."""
    _record(settings, "backup.start", folder, {})


def backed_up(settings: PostgresSettings, folder: Path, manifest: Manifest) -> None:
    """The folder is complete."""
    _record(settings, "backup.finish", folder, _which(manifest))


def restored(settings: PostgresSettings, folder: Path, manifest: Manifest, replaced: Mapping[str, int]) -> None:
    """The database is filled; ``replaced`` are the rows that it held before, an audit of its own among them."""
    held = {table: rows for table, rows in replaced.items() if rows}
    _record(settings, "restore", folder, {**_which(manifest), "replaced": held})


def _which(manifest: Manifest) -> dict[str, Any]:
    part = manifest.postgres
    return {
        "created_at": manifest.created_at.isoformat(),
        "sha256": part.sha256,
        "revision": part.revision,
        "rows": part.rows,
    }


def _record(settings: PostgresSettings, action: str, folder: Path, detail: Mapping[str, Any]) -> None:
    # A name of a file may hold what no text can.
    subject = str(folder.resolve()).encode(errors="replace").decode()
    with closing(Database(settings)) as database:
        # One that is backed up before it is migrated may be of before the audit.
        if database.audit.is_there():
            database.audit.record(AuditEntry(None, action, subject, detail, actor()))
