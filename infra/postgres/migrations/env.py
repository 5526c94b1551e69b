"""Alembic's entry: runs the migrations on the connection that ``infra.postgres.migrate`` gives."""

from alembic import context

from infra.postgres.tables import metadata

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=metadata,
    on_version_apply=lambda step, **_: given["tell"](step.up_revision_id),
)
context.run_migrations()
