"""Bringing the schema up to date, and back down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from infra.postgres.engine import make_engine
from infra.postgres.errors import translated
from infra.postgres.roles import prepare_gateway_role
from infra.postgres.settings import PostgresSettings

#: Held while migrating, so that two migrations at the same moment run one after the other.
_LOCK: Final = 0x6167_656E_746D_656D


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    # Our own path may hold any character; "os" splits lists of paths by the platform's separator.
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _run(settings: PostgresSettings, direction: str, target: str) -> tuple[str | None, str | None]:
    engine = make_engine(settings, "agentmem-migrate")
    config = _config()
    try:
        with translated(), engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            before = _revision(connection)
            config.attributes["connection"] = connection
            (command.upgrade if direction == "up" else command.downgrade)(config, target)
            prepare_gateway_role(connection, settings.gateway_role)
            return before, _revision(connection)
    finally:
        engine.dispose()


def upgrade(settings: PostgresSettings, target: str = "head") -> list[str]:
    """Apply what is missing and grant the gateway's role its rights, in one transaction.

    Returns the revisions applied, oldest first.
    """
    before, after = _run(settings, "up", target)
    if before == after:
        return []
    steps = ScriptDirectory.from_config(_config()).iterate_revisions(after or "head", before or "base")
    return [step.revision for step in reversed(list(steps))]


def downgrade(settings: PostgresSettings, target: str = "base") -> None:
    """Take revisions back down to ``target``, with the data they hold, in one transaction."""
    _run(settings, "down", target)


@dataclass(frozen=True, slots=True)
class Status:
    """Where the schema is, and the revisions of this version that it lacks, oldest first."""

    revision: str | None
    missing: tuple[str, ...]
    #: Made by a later version, of which this one knows nothing: it runs on it all the same, see the upgrade page.
    newer: bool


def status(settings: PostgresSettings) -> Status:
    """Where the schema is."""
    engine = make_engine(settings, "agentmem-migrate")
    try:
        with translated(), engine.connect() as connection:
            revision = _revision(connection)
    finally:
        engine.dispose()
    known = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]
    if revision is None:
        return Status(None, tuple(known), newer=False)
    if revision not in known:
        return Status(revision, (), newer=True)
    return Status(revision, tuple(known[known.index(revision) + 1 :]), newer=False)


def pending(settings: PostgresSettings) -> bool:
    """Whether the database's schema is older than this version's."""
    return bool(status(settings).missing)
