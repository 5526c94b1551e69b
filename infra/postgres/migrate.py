"""Bringing the schema up to date, and back down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from infra.postgres.engine import lift_statement_limit, make_engine
from infra.postgres.errors import translated
from infra.postgres.roles import prepare_gateway_role
from infra.postgres.settings import PostgresSettings
from schemas.problems import MisconfiguredError

#: Held while migrating, so that two migrations at the same moment run one after the other.
_LOCK: Final = 0x6167_656E_746D_656D
_FOR_A_TABLE: Final = text("SET LOCAL lock_timeout = '30s'")

Tell = Callable[[str], None]


def _ignore(revision: str) -> None:
    """Nobody watches."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    # Our own path may hold any character; "os" splits lists of paths by the platform's separator.
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _revisions() -> list[str]:
    """All that this version knows, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def lock(connection: Connection) -> None:
    """Wait until nobody else migrates, and let nobody until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _run(settings: PostgresSettings, direction: str, target: str, tell: Tell) -> tuple[str | None, str | None]:
    engine = make_engine(settings, "agentmem-migrate")
    config = _config()
    try:
        with translated(), engine.begin() as connection:
            lift_statement_limit(connection)  # an index of a large table takes its time, as does another migration
            lock(connection)
            # But whoever waits for a table makes all wait that come after.
            connection.execute(_FOR_A_TABLE)
            before = _revision(connection)
            if before is not None and before not in _revisions():
                if direction == "down":
                    raise later_schema(before)
                return before, before  # this version runs on it as it is
            config.attributes.update(connection=connection, tell=tell)
            (command.upgrade if direction == "up" else command.downgrade)(config, target)
            prepare_gateway_role(connection, settings.gateway_role)
            return before, _revision(connection)
    finally:
        engine.dispose()


def later_schema(revision: str | None) -> MisconfiguredError:
    """Why a schema is not taken down."""
    return MisconfiguredError(f"The schema {revision} is of a later version, which alone can undo it.")


def upgrade(settings: PostgresSettings, target: str = "head", tell: Tell = _ignore) -> list[str]:
    """Apply what is missing and grant the gateway's role its rights, in one transaction.

    ``tell`` hears of each revision that has run: it stands when the transaction is committed.
    Returns the revisions applied, oldest first: none on the schema of a later version, which is left as it is.
    """
    before, after = _run(settings, "up", target, tell)
    return _between(before, after)


def downgrade(settings: PostgresSettings, target: str = "base", tell: Tell = _ignore) -> list[str]:
    """Take revisions back down to ``target``, with the data they hold, in one transaction; returns them."""
    before, after = _run(settings, "down", target, tell)
    return _between(after, before)[::-1]


def _between(older: str | None, newer: str | None) -> list[str]:
    """The revisions after ``older`` up to ``newer``."""
    if older == newer or newer is None:
        return []
    known = _revisions()
    return known[known.index(older) + 1 if older else 0 : known.index(newer) + 1]


@dataclass(frozen=True, slots=True)
class Status:
    """Where the schema is, and the revisions of this version that it lacks, oldest first."""

    revision: str | None
    applied: tuple[str, ...]
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
    known = _revisions()
    if revision is None:
        return Status(None, (), tuple(known), newer=False)
    if revision not in known:
        return Status(revision, tuple(known), (), newer=True)
    place = known.index(revision) + 1
    return Status(revision, tuple(known[:place]), tuple(known[place:]), newer=False)


def pending(settings: PostgresSettings) -> bool:
    """Whether the database's schema is older than this version's."""
    return bool(status(settings).missing)


def check_schema(settings: PostgresSettings) -> None:
    """Raise ``MisconfiguredError`` when the database's schema is older than this version's."""
    if pending(settings):
        raise MisconfiguredError("The database's schema is not this version's: run `agentmem migrate`.")
