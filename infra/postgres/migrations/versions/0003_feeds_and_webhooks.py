"""A key for each project's cursors, and webhooks with what is on its way to them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from infra.postgres.migrations.wall import raise_wall

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Two random UUIDs are 244 random bits, made by Postgres's strong generator.
_RANDOM = "decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')"


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    column = sa.Column("cursor_key", sa.LargeBinary, nullable=False, server_default=sa.text(_RANDOM))
    op.add_column("projects", column)
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        *[sa.Column(field, sa.Text) for field in ("user_id", "agent_id", "app_id", "run_id")],
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("event_types", ARRAY(sa.Text), nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("failures", sa.Integer, nullable=False),
        _time("failing_since", nullable=True),
        _time("next_attempt_at"),
        _time("created_at"),
        _time("updated_at"),
    )
    op.create_index("webhooks_project", "webhooks", ["project", "created_at"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("webhook_id", sa.Uuid, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("response_status", sa.Integer),
        sa.Column("error", sa.Text),
        _time("next_attempt_at"),
        _time("created_at"),
        _time("updated_at"),
        sa.UniqueConstraint("webhook_id", "event_id", name="webhook_deliveries_event"),
    )
    op.create_index(
        "webhook_deliveries_pending",
        "webhook_deliveries",
        ["webhook_id", "key", "id"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("webhook_deliveries_log", "webhook_deliveries", ["webhook_id", "id"])
    op.create_index("webhook_deliveries_created", "webhook_deliveries", ["created_at"])
    raise_wall("webhooks")
    raise_wall("webhook_deliveries")


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
    op.drop_column("projects", "cursor_key")
