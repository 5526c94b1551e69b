"""Row-level security as every table that holds a project's rows has it.

The gateway's role sees the rows of the one project that its transaction names; a query that forgets the project
finds nothing. The role that migrates, and whoever is a member of it, sees all rows: the workers need them.
"""

from alembic import op


def raise_wall(table: str, column: str = "project") -> None:
    """Force row-level security on a table whose ``column`` holds the project."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    # A sub-select is evaluated once for a statement, not once for a row.
    own = f"{column} = (SELECT current_setting('agentmem.project', true))"
    op.execute(f"CREATE POLICY wall ON {table} USING ({own})")
    op.execute(f"CREATE POLICY everything ON {table} TO CURRENT_USER USING (true)")


def take_down_wall(table: str) -> None:
    """Undo :func:`raise_wall`."""
    op.execute(f"DROP POLICY everything ON {table}")
    op.execute(f"DROP POLICY wall ON {table}")
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
