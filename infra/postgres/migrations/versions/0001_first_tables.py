"""The first tables: projects, keys, memories, their history, requests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _entities() -> list[sa.Column[object]]:
    return [sa.Column(field, sa.Text) for field in ("user_id", "agent_id", "app_id", "run_id")]


def _state() -> list[sa.Column[object]]:
    return [
        sa.Column("project", sa.Text, nullable=False),
        *_entities(),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        _time("created_at"),
        _time("updated_at"),
        _time("expires_at", nullable=True),
        _time("deleted_at", nullable=True),
    ]


def upgrade() -> None:
    op.create_table("projects", sa.Column("id", sa.Text, primary_key=True), _time("created_at"))
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        _time("created_at"),
        _time("expires_at", nullable=True),
        _time("revoked_at", nullable=True),
    )
    op.create_table(
        "memories",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        *_state(),
        sa.Column("metadata", JSONB, nullable=False),
        sa.Column("vector", ARRAY(sa.REAL)),
        _time("changed_at"),
    )
    live = sa.text("deleted_at IS NULL")
    for kind in ("user", "agent", "app", "run"):
        columns = ["project", f"{kind}_id", "created_at"]
        op.create_index(f"memories_{kind}", "memories", columns, postgresql_where=live)
    op.create_index("memories_changed", "memories", ["changed_at"])
    op.create_table(
        "memory_history",
        sa.Column("memory_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        *_state(),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("previous_text", sa.Text),
        sa.Column("previous_metadata", sa.JSON),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("index", sa.Integer, nullable=False),
        _time("recorded_at"),
        sa.UniqueConstraint("project", "request_id", "index", name="memory_history_request"),
    )
    op.create_table(
        "requests",
        sa.Column("project", sa.Text, primary_key=True),
        *_entities(),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.Column("infer", sa.Boolean, nullable=False),
        sa.Column("memory_id", sa.Uuid),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("payload", sa.JSON),
        _time("recorded_at"),
    )
    accepted = sa.text("status = 'accepted'")
    op.create_index("requests_accepted", "requests", ["recorded_at"], postgresql_where=accepted)


def downgrade() -> None:
    for table in ("requests", "memory_history", "memories", "api_keys", "projects"):
        op.drop_table(table)
