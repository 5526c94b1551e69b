"""The schema of a version to come: what a migration may add, added everywhere."""

from __future__ import annotations

import psycopg2

from infra.postgres.tables import metadata

#: A test session with this variable runs on such a schema.
VARIABLE = "AGENTMEM_TEST_NEXT_SCHEMA"
REVISION = "9999"


def expand(dsn: str) -> None:
    """Bring a migrated database one version further than the code."""
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        for table in metadata.tables:
            cursor.execute(f'ALTER TABLE "{table}" ADD COLUMN later_optional text')
            cursor.execute(f'ALTER TABLE "{table}" ADD COLUMN later_counted integer NOT NULL DEFAULT 7')
            cursor.execute(f'CREATE INDEX "later_{table}" ON "{table}" (later_optional)')
        cursor.execute("CREATE TABLE later (id uuid PRIMARY KEY, project text NOT NULL)")
        cursor.execute("UPDATE alembic_version SET version_num = %s", (REVISION,))
    connection.close()
