"""The index by which a job finds those that it came after."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_jobs_then_id",
            "jobs",
            ["then_id"],
            postgresql_where=sa.text("then_id IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    """Take back."""
    with op.get_context().autocommit_block():
        op.drop_index("ix_jobs_then_id", "jobs", postgresql_concurrently=True, if_exists=True)
