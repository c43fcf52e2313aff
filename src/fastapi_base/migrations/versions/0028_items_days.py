"""The index of the daily statistics on items becomes one that the list's plans cannot choose."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAME, TABLE = "ix_items_created_at_utc", "items"
REPLACED = "ix_items_created_at"


def upgrade() -> None:
    """Apply."""
    with op.get_context().autocommit_block():
        # An interrupted run leaves an invalid one, which PostgreSQL uses for nothing.
        op.drop_index(NAME, TABLE, postgresql_concurrently=True, if_exists=True)
        made = sa.text("timezone('UTC', created_at)")
        op.create_index(NAME, TABLE, [made], postgresql_concurrently=True, if_not_exists=True)
        op.drop_index(REPLACED, TABLE, postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    """Take back."""
    with op.get_context().autocommit_block():
        op.create_index(
            REPLACED, TABLE, ["created_at"], postgresql_concurrently=True, if_not_exists=True
        )
        op.drop_index(NAME, TABLE, postgresql_concurrently=True, if_exists=True)
