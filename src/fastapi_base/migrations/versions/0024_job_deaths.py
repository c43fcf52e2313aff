"""Jobs of which processes died, and the index by which relays take jobs by queue and priority."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEXES = {
    "ix_jobs_waiting": (
        ["queue", "priority", "run_at", "seq"],
        "state = 'queued' AND published_at IS NULL AND NOT suspect",
    ),
    "ix_jobs_suspect": (
        ["queue", "priority", "run_at", "seq"],
        "suspect AND state IN ('queued', 'running')",
    ),
    "ix_jobs_deaths": (["kind"], "deaths > 0 OR crashes > 0"),
}


def upgrade() -> None:
    """Apply."""
    none = sa.text("0")
    # If an index fails, the migration is run again, and the columns are there.
    for column in (
        sa.Column("suspect", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("deaths", sa.SmallInteger(), server_default=none, nullable=False),
        sa.Column("crashes", sa.SmallInteger(), server_default=none, nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=True),
    ):
        op.add_column("jobs", column, if_not_exists=True)
    with op.get_context().autocommit_block():
        for name, (columns, where) in INDEXES.items():
            op.create_index(
                name,
                "jobs",
                columns,
                postgresql_where=sa.text(where),
                postgresql_concurrently=True,
                if_not_exists=True,
            )


def downgrade() -> None:
    """Take back."""
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.drop_index(name, "jobs", postgresql_concurrently=True, if_exists=True)
    for name in ("urgency", "crashes", "deaths", "suspect"):
        op.drop_column("jobs", name)
