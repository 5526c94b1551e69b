"""An index for deliveries whose bodies are large: they are claimed by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    large = sa.text("status = 'pending' AND octet_length(body) > 131072")
    op.create_index("webhook_deliveries_large", "webhook_deliveries", ["webhook_id", "id"], postgresql_where=large)


def downgrade() -> None:
    op.drop_index("webhook_deliveries_large")
