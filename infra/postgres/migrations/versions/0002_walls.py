"""Row-level security on every table, and the families of refresh tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from infra.postgres.migrations.wall import raise_wall, take_down_wall

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = {
    "projects": "id",
    "api_keys": "project",
    "memories": "project",
    "memory_history": "project",
    "requests": "project",
}


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "token_families",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("key_id", sa.Uuid, sa.ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("current", sa.Uuid, nullable=False),
        _time("created_at"),
        _time("expires_at"),
        _time("revoked_at", nullable=True),
    )
    op.create_index("token_families_key", "token_families", ["key_id"])
    op.create_index("token_families_expires", "token_families", ["expires_at"])
    op.create_index("api_keys_project", "api_keys", ["project", "created_at"])
    for table, column in _TABLES.items():
        raise_wall(table, column)
    raise_wall("token_families")
    # Who presents a key shows by its hash which row it may see; the project is known only then.
    op.execute(
        "CREATE POLICY presented ON api_keys FOR SELECT "
        "USING (hash = (SELECT current_setting('agentmem.key_hash', true)))"
    )


def downgrade() -> None:
    op.drop_table("token_families")
    op.execute("DROP POLICY presented ON api_keys")
    for table in _TABLES:
        take_down_wall(table)
    op.drop_index("api_keys_project", "api_keys")
