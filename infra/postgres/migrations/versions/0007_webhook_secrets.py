"""A webhook's secrets before the present one, and what it takes to deliver an event again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("previous_secrets", JSONB, nullable=False, server_default="[]"))
    op.add_column("webhook_deliveries", sa.Column("request_id", sa.Text))
    op.add_column("webhook_deliveries", sa.Column("request_index", sa.Integer))
    op.add_column("webhook_deliveries", sa.Column("redelivery", sa.Integer, nullable=False, server_default="0"))
    op.drop_constraint("webhook_deliveries_event", "webhook_deliveries")
    op.create_unique_constraint(
        "webhook_deliveries_event", "webhook_deliveries", ["webhook_id", "event_id", "redelivery"]
    )


def downgrade() -> None:
    op.execute("DELETE FROM webhook_deliveries WHERE redelivery > 0")
    op.drop_constraint("webhook_deliveries_event", "webhook_deliveries")
    op.create_unique_constraint("webhook_deliveries_event", "webhook_deliveries", ["webhook_id", "event_id"])
    for column in ("redelivery", "request_index", "request_id"):
        op.drop_column("webhook_deliveries", column)
    op.drop_column("webhooks", "previous_secrets")
