"""What a project has set, what callers think of its memories, and its requests in the order they came."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres.migrations.wall import raise_wall

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "project_settings",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("settings", JSONB, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "memory_feedback",
        sa.Column("memory_id", sa.Uuid, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("feedback", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )
    for table in ("project_settings", "memory_feedback"):
        raise_wall(table)
    op.create_index("requests_recent", "requests", ["project", "recorded_at"])


def downgrade() -> None:
    op.drop_index("requests_recent", "requests")
    op.drop_table("memory_feedback")
    op.drop_table("project_settings")
