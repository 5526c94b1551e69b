"""What operators did, and indexes for what a scope was at a past moment and for what has expired."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.postgres.migrations.wall import raise_wall

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KINDS = ("user", "agent", "app", "run")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("project", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", JSONB, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")
        ),
    )
    op.create_index("audit_subject", "audit", ["subject"])
    op.create_index("audit_recent", "audit", ["recorded_at"])
    raise_wall("audit")
    op.execute(
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit is append-only' USING ERRCODE = 'insufficient_privilege'; END $$"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    )
    # Most memories have one or two of the four ids.
    for kind in _KINDS:
        where = sa.text(f"{kind}_id IS NOT NULL")
        columns = ["project", f"{kind}_id", "recorded_at"]
        op.create_index(f"memory_history_{kind}", "memory_history", columns, postgresql_where=where)
    op.create_index("memory_history_project", "memory_history", ["project", "recorded_at"])
    expiring = sa.text("deleted_at IS NULL AND expires_at IS NOT NULL")
    op.create_index("memories_expiring", "memories", ["expires_at"], postgresql_where=expiring)


def downgrade() -> None:
    op.drop_index("memories_expiring", "memories")
    op.drop_index("memory_history_project", "memory_history")
    for kind in _KINDS:
        op.drop_index(f"memory_history_{kind}", "memory_history")
    op.drop_table("audit")
    op.execute("DROP FUNCTION audit_is_append_only")
