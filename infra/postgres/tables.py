"""The tables, as SQLAlchemy Core sees them. Migrations make them; a test compares the two."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata: Final = MetaData()

_LIVE: Final = text("deleted_at IS NULL")


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _entities() -> list[Column[object]]:
    return [Column(field, Text) for field in ("user_id", "agent_id", "app_id", "run_id")]


# Texts have no length here: limits are the schemas' business, a second one could only disagree.
def _scope(*, project_is_key: bool = False) -> list[Column[object]]:
    return [
        Column("project", Text, nullable=False, primary_key=project_is_key),
        *_entities(),
    ]


def _state() -> list[Column[object]]:
    return [
        *_scope(),
        Column("text", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("name", Text),
        _time("created_at"),
        _time("updated_at"),
        _time("expires_at", nullable=True),
        _time("deleted_at", nullable=True),
    ]


projects: Final = Table(
    "projects",
    metadata,
    Column("id", Text, primary_key=True),
    _time("created_at"),
    # What the project's cursors are encrypted with: no other project can make or read them.
    Column("cursor_key", LargeBinary, nullable=False, server_default=FetchedValue()),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    # SHA-256 of the token, in hex. A token is 256 random bits, so a slow hash would add nothing.
    Column("hash", Text, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    _time("created_at"),
    _time("expires_at", nullable=True),
    _time("revoked_at", nullable=True),
    Index("api_keys_project", "project", "created_at"),
)

# One row for each login that refresh tokens prolong. Only the token ``current`` may be used next: an older one
# that comes again was stolen from somebody, so the whole family ends.
token_families: Final = Table(
    "token_families",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project", Text, nullable=False),
    Column("key_id", Uuid, ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("current", Uuid, nullable=False),
    _time("created_at"),
    _time("expires_at"),
    _time("revoked_at", nullable=True),
    Index("token_families_key", "key_id"),
    Index("token_families_expires", "expires_at"),
)

memories: Final = Table(
    "memories",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    *_state(),
    Column("metadata", JSONB, nullable=False),
    Column("vector", ARRAY(REAL)),
    # When the row was last written, by the database's clock: what the sweep goes by.
    _time("changed_at"),
    Index(
        "memories_expiring", "expires_at", postgresql_where=text("deleted_at IS NULL AND expires_at IS NOT NULL")
    ),
    Index("memories_user", "project", "user_id", "created_at", postgresql_where=_LIVE),
    Index("memories_agent", "project", "agent_id", "created_at", postgresql_where=_LIVE),
    Index("memories_app", "project", "app_id", "created_at", postgresql_where=_LIVE),
    Index("memories_run", "project", "run_id", "created_at", postgresql_where=_LIVE),
    Index("memories_changed", "changed_at"),
)

memory_history: Final = Table(
    "memory_history",
    metadata,
    Column("memory_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    *_state(),
    # JSON keeps the very text, where JSONB would turn 1e2 into 100 and change the bytes of a repeated event.
    Column("metadata", JSON, nullable=False),
    Column("kind", Text, nullable=False),
    Column("previous_text", Text),
    Column("previous_metadata", JSON),
    Column("request_id", Text, nullable=False),
    Column("index", Integer, nullable=False),
    _time("recorded_at"),
    UniqueConstraint("project", "request_id", "index", name="memory_history_request"),
    # For what a scope was at a past moment. Most memories have one or two of the four ids.
    *(
        Index(f"memory_history_{kind}", "project", id, "recorded_at", postgresql_where=text(f"{id} IS NOT NULL"))
        for kind, id in ((kind, f"{kind}_id") for kind in ("user", "agent", "app", "run"))
    ),
    Index("memory_history_project", "project", "recorded_at"),
)

requests: Final = Table(
    "requests",
    metadata,
    *_scope(project_is_key=True),
    Column("request_id", Text, primary_key=True),
    Column("op", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("changes", Integer, nullable=False),
    Column("infer", Boolean, nullable=False),
    Column("memory_id", Uuid),
    Column("reason", Text),
    Column("detail", Text),
    # The request itself while it is only accepted, so that it can be published again.
    Column("payload", JSON),
    _time("recorded_at"),
    Index("requests_accepted", "recorded_at", postgresql_where=text("status = 'accepted'")),
    Index("requests_recent", "project", "recorded_at"),
)

project_settings: Final = Table(
    "project_settings",
    metadata,
    Column("project", Text, primary_key=True),
    Column("settings", JSONB, nullable=False),
    _time("updated_at"),
)

memory_feedback: Final = Table(
    "memory_feedback",
    metadata,
    Column("memory_id", Uuid, primary_key=True),
    Column("project", Text, nullable=False),
    Column("feedback", Text, nullable=False),
    Column("reason", Text),
    _time("recorded_at"),
)

# What operators did by hand. Nothing in it is changed or removed: a trigger sees to that.
audit: Final = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("project", Text),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    # Never what a memory or a record holds: an entry outlives both.
    Column("detail", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=FetchedValue()),
    Index("audit_subject", "subject"),
    Index("audit_recent", "recorded_at"),
)

# Each collection that the search index has or had: see ``infra.postgres.collections``.
search_collections: Final = Table(
    "search_collections",
    metadata,
    Column("name", Text, primary_key=True),
    Column("base", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    # How far a rebuild has filled it, by the ids of memories.
    Column("filled_to", Uuid),
    _time("created_at"),
    # What changed up to here has been compared by the sweep.
    _time("swept_until", nullable=True),
    # How far the workers' verification is: through the rows first, then through the objects.
    Column("verify_objects", Boolean, nullable=False, server_default=FetchedValue()),
    Column("verify_after", Uuid),
    Column("verify_due", DateTime(timezone=True), nullable=False, server_default=FetchedValue()),
    _time("verified_at", nullable=True),
    Index("search_collections_base", "base", "model"),
)

webhooks: Final = Table(
    "webhooks",
    metadata,
    Column("id", Uuid, primary_key=True),
    *_scope(),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False),
    # It signs, so it cannot be kept as a hash only.
    Column("secret", Text, nullable=False),
    # Pairs of a secret and the time until which receivers that still have it can check posts.
    Column("previous_secrets", JSONB, nullable=False, server_default="[]"),
    Column("is_active", Boolean, nullable=False),
    Column("disabled_reason", Text),
    # Since the last success: rounds that failed, the time of the first, and when the next may be.
    Column("failures", Integer, nullable=False),
    _time("failing_since", nullable=True),
    _time("next_attempt_at"),
    _time("created_at"),
    _time("updated_at"),
    Index("webhooks_project", "project", "created_at"),
)

#: Deliveries with a larger body, in bytes, are claimed by themselves.
LARGE_BODY_BYTES: Final = 128 * 1024

# The queue and the log in one: a row is pending until it is delivered or given up, and removed after a while.
webhook_deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    # In the order of the events, within each scope: deliveries of one key go out in this order.
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("webhook_id", Uuid, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("project", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("key", Text, nullable=False),
    # Which event of which request it is: its body can be made again from the history.
    Column("request_id", Text),
    Column("request_index", Integer),
    # Counts how often it was asked for again.
    Column("redelivery", Integer, nullable=False, server_default="0"),
    Column("body", Text),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("response_status", Integer),
    Column("error", Text),
    _time("next_attempt_at"),
    _time("created_at"),
    _time("updated_at"),
    UniqueConstraint("webhook_id", "event_id", "redelivery", name="webhook_deliveries_event"),
    Index("webhook_deliveries_pending", "webhook_id", "key", "id", postgresql_where=text("status = 'pending'")),
    Index(
        "webhook_deliveries_large",
        "webhook_id",
        "id",
        postgresql_where=text(f"status = 'pending' AND octet_length(body) > {LARGE_BODY_BYTES}"),
    ),
    Index("webhook_deliveries_log", "webhook_id", "id"),
    Index("webhook_deliveries_created", "created_at"),
)
