"""Runs migrations within the transaction of the connection that the caller passes in; it configures nothing else."""

from alembic import context

from latchstring.controller.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
