"""How alembic runs here: in the transaction that `toolkit.store.database` opened, never by an alembic.ini."""

from alembic import context

from toolkit.store.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
