"""A dump of one moment by pg_dump, and back by pg_restore. All functions block.

The dump holds the rows alone. The tables are made by the migrations, of the revision that the dump was made at: so
it fits into any cluster, whatever its roles are called.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url

from infra.postgres.engine import lift_limits, make_engine
from infra.postgres.errors import translated
from infra.postgres.migrate import downgrade, later_schema, status, upgrade
from infra.postgres.settings import PostgresSettings
from schemas.problems import MisconfiguredError

#: The schema's revision is in the manifest; which collections there are is not known of another Weaviate; a login
#: that ended since must not come back.
_LEFT_OUT: Final = ("alembic_version", "search_collections", "token_families")
_TABLES: Final = text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
_STRANGERS: Final = text(
    "SELECT string_agg(relname, ', ') FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = current_schema()::regnamespace AND NOT pg_has_role(relowner, 'USAGE')"
)
_MAJOR: Final = text("SELECT current_setting('server_version_num')::int / 10000")
_REVISION: Final = text("SELECT version_num FROM alembic_version")
_SCHEMA: Final = text("SELECT quote_ident(current_schema())")
#: A program outlives the command that started it, if that is killed: with its locks, and what it may still commit.
_END_LEFT_OVER: Final = text(
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND application_name = :program"
)
_BYPASSES: Final = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")


@dataclass(frozen=True, slots=True)
class Dumped:
    """What a dump holds: the revision of its tables, and the rows of each at that one moment."""

    server: str
    revision: str
    rows: Mapping[str, int]


class Tools:
    """pg_dump and pg_restore, no older than the server, as they must be: from PATH, or from ``folders``."""

    def __init__(self, settings: PostgresSettings, folders: Sequence[Path]) -> None:
        self._settings = settings
        with _engine(settings) as engine, translated(), engine.connect() as connection:
            major = connection.execute(_MAJOR).scalar_one()
        found = [*([Path(path).parent] if (path := shutil.which("pg_dump")) else []), *folders]
        for folder in found:
            if (folder / "pg_dump").exists() and (folder / "pg_restore").exists() and _major(folder) >= major:
                self._folder = folder
                return
        seen = ", ".join(f"{folder} ({_major(folder)})" for folder in found) or "none"
        raise MisconfiguredError(
            f"The server is Postgres {major}: pg_dump and pg_restore {major} or newer are needed. Found: {seen}. "
            "Install the client programs of that version and put them on PATH; of our images agentmem-operator "
            "has them."
        )

    def dump(self, file: Path) -> Dumped:
        """Write all rows, as they are at one moment, while everything goes on."""
        with _engine(self._settings) as engine, translated(), engine.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                lift_limits(connection)  # it is idle while pg_dump works with its snapshot
                if strangers := connection.execute(_STRANGERS).scalar_one():
                    raise MisconfiguredError(f"Only the owner of {strangers} sees all rows: dump with that login.")
                snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
                server = connection.execute(text("SHOW server_version")).scalar_one()
                revision = connection.execute(_REVISION).scalar_one()
                rows = count_rows(connection)
                schema = connection.execute(_SCHEMA).scalar_one()
                # The walls are up for the tables' owner too, who sees all rows by a policy.
                self._run(
                    "pg_dump",
                    *("--format=custom", "--data-only", "--enable-row-security", f"--snapshot={snapshot}"),
                    f"--schema={schema}",
                    *(f"--exclude-table={table}" for table in _LEFT_OUT),
                    f"--file={file}",
                )
        return Dumped(server, revision, rows)

    def check(self, dumped: Dumped, *, replace: bool) -> Mapping[str, int]:
        """Before anything is restored; returns the rows that there are.

        Raises ``MisconfiguredError`` when there are some and they are not to be replaced, and for the dump, or the
        database, of a later version.
        """
        known = status(self._settings)
        if known.newer:
            raise later_schema(known.revision)
        if dumped.revision not in (*known.applied, *known.missing):
            raise MisconfiguredError(f"The dump is of a later version (schema {dumped.revision}).")
        with _engine(self._settings) as engine, translated(), engine.connect() as connection:
            before = count_rows(connection)
        filled = [table for table, rows in before.items() if rows]
        if filled and not replace:
            raise MisconfiguredError(f"The database is not empty (there are rows in {', '.join(filled)}).")
        return before

    def restore(self, file: Path, dumped: Dumped) -> None:
        """Make the tables as they were, in place of what there is, fill them, and migrate them to this version."""
        with _engine(self._settings) as engine:
            with translated(), engine.connect() as connection:
                connection.execute(_END_LEFT_OVER, {"program": _called("pg_restore")})
            if status(self._settings).applied:
                downgrade(self._settings)
            upgrade(self._settings, dumped.revision)
            with _open_to_its_owner(engine):
                self._run("pg_restore", "--data-only", "--single-transaction", "--exit-on-error", str(file))
            with translated(), engine.connect() as connection:
                rows = count_rows(connection)
        if rows != dict(dumped.rows):
            raise MisconfiguredError(f"The restored rows are not the dump's: {rows}, not {dumped.rows}.")
        upgrade(self._settings)

    def _run(self, program: str, *arguments: str) -> None:
        address, password = without_password(self._settings.dsn.get_secret_value())
        address = make_url(address).update_query_dict({"application_name": _called(program)}).render_as_string()
        done = subprocess.run(  # noqa: S603
            [self._folder / program, f"--dbname={address}", "--no-password", *arguments],
            env=os.environ | password,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MisconfiguredError(f"{program} failed: {done.stderr.strip()}")


def _called(program: str) -> str:
    """The name of its sessions in Postgres."""
    return f"agentmem-{program}"


def without_password(dsn: str) -> tuple[str, dict[str, str]]:
    """The address for a command line, which everybody on the machine can read, and the environment beside it.

    Raises ``MisconfiguredError`` for ``sslpassword``, which no variable can hold.
    """
    url = make_url(dsn).set(drivername="postgresql")
    if "sslpassword" in url.query:
        raise MisconfiguredError("pg_dump cannot be given sslpassword safely: use a key without a passphrase.")
    given = url.query.get("password", url.password)
    password = given[-1] if isinstance(given, tuple) else given
    address = url.difference_update_query(["password"])._replace(password=None)  # set() takes None for no change
    return address.render_as_string(), {"PGPASSWORD": str(password)} if password else {}


def count_rows(connection: Connection) -> dict[str, int]:
    """The rows of each table."""
    tables = [table for table in connection.execute(_TABLES).scalars() if table not in _LEFT_OUT]
    return {
        table: connection.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one()  # noqa: S608
        for table in tables
    }


@contextmanager
def _engine(settings: PostgresSettings) -> Iterator[Engine]:
    engine = make_engine(settings, "agentmem-backup")
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _open_to_its_owner(engine: Engine) -> Iterator[None]:
    """COPY does not write into tables that have a wall for the login that copies."""
    with translated(), engine.connect() as connection:
        bypasses = connection.execute(_BYPASSES).scalar_one()
        tables = [] if bypasses else [one for one in connection.execute(_TABLES).scalars() if one != _LEFT_OUT[0]]

    def force(change: str) -> None:
        with translated(), engine.begin() as connection:
            for table in tables:
                connection.execute(text(f'ALTER TABLE "{table}" {change} ROW LEVEL SECURITY'))

    force("NO FORCE")
    try:
        yield
    finally:
        force("FORCE")


def _major(folder: Path) -> int:
    done = subprocess.run(  # noqa: S603
        [folder / "pg_dump", "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"(\d+)", done.stdout)
    return int(found[1]) if found else 0
