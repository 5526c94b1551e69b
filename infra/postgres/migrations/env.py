"""Alembic's entry: runs the migrations on the connection that ``infra.postgres.migrate`` gives."""

from alembic import context

from infra.postgres.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
