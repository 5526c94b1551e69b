"""Which collections of the search index there are, which of them serves, and how far each was brought."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False, server_default: sa.TextClause | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=server_default)


def upgrade() -> None:
    op.create_table(
        "search_collections",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("filled_to", sa.Uuid),
        _time("created_at"),
        _time("swept_until", nullable=True),
        sa.Column("verify_objects", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("verify_after", sa.Uuid),
        _time("verify_due", server_default=sa.text("now()")),
        _time("verified_at", nullable=True),
    )
    # It holds nothing of a project: the gateway's role may read all of it, and change nothing.
    op.execute("ALTER TABLE search_collections ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE search_collections FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY readable ON search_collections FOR SELECT USING (true)")
    op.execute("CREATE POLICY everything ON search_collections TO CURRENT_USER USING (true)")
    op.create_index("search_collections_base", "search_collections", ["base", "model"])


def downgrade() -> None:
    op.drop_table("search_collections")
