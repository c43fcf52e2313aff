"""Without the indexes that those of the migration before replace."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TITLE = ("owner_id", "title", "id")  # slice: items
# Name, table, columns, condition.
REPLACED: tuple[tuple[str, str, tuple[str, ...], str | None], ...] = (
    ("ix_users_created_at_id", "users", ("created_at", "id"), None),
    ("ix_jobs_owner_id_id", "jobs", ("owner_id", "id"), None),
    ("ix_jobs_finished_at", "jobs", ("finished_at",), "finished_at IS NOT NULL"),
    ("ix_audit_events_subject_id_id", "audit_events", ("subject_id", "id"), None),
    ("ix_audit_events_actor_id_id", "audit_events", ("actor_id", "id"), None),
    ("ix_passkeys_user_id", "passkeys", ("user_id",), None),  # slice: passkeys
    ("ix_items_owner_id_title_id", "items", TITLE, "deleted_at IS NULL"),  # slice: items
)


def upgrade() -> None:
    """Apply."""
    with op.get_context().autocommit_block():
        for name, table, _, _ in REPLACED:
            op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    """Take back."""
    with op.get_context().autocommit_block():
        for name, table, columns, where in REPLACED:
            op.create_index(
                name,
                table,
                list(columns),
                postgresql_where=None if where is None else sa.text(where),
                postgresql_concurrently=True,
                if_not_exists=True,
            )
