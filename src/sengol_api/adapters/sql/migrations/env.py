"""Alembic's entry: the connection is handed in, there is no ini file."""

from alembic import context

from sengol_api.adapters.sql.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
