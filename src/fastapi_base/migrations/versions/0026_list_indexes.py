"""The indexes by which pages of lists, the purge and the statistics read no more than they need.

Those that they replace go in the next migration.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import context, op

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TITLE = ("owner_id", 'title COLLATE "C"', "id")  # slice: items
OPEN = "accepted_at IS NULL AND revoked_at IS NULL"
# Name, table, columns, condition.
INDEXES: tuple[tuple[str, str, tuple[str, ...], str | None], ...] = (
    *(
        (f"ix_jobs_{'_'.join(columns)}", "jobs", columns, where)
        for columns, where in (
            (("state", "created_at", "id"), None),
            (("state", "kind", "created_at", "id"), None),
            (("owner_id", "state", "created_at", "id"), "owner_id IS NOT NULL"),
            (("owner_id", "kind", "state", "created_at", "id"), "owner_id IS NOT NULL"),
            (("state", "finished_at"), "finished_at IS NOT NULL"),
        )
    ),
    *(
        (f"ix_audit_events_{'_'.join(columns)}", "audit_events", columns, where)
        for columns, where in (
            (("action", "occurred_at", "id"), None),
            (("actor_id", "occurred_at", "id"), "actor_id IS NOT NULL"),
            (("actor_id", "action", "occurred_at", "id"), "actor_id IS NOT NULL"),
            (("subject_id", "occurred_at", "id"), "subject_id IS NOT NULL"),
            (("subject_id", "action", "occurred_at", "id"), "subject_id IS NOT NULL"),
            (
                ("actor_id", "subject_id", "occurred_at", "id"),
                "actor_id IS NOT NULL AND subject_id IS NOT NULL",
            ),
            (
                ("actor_id", "subject_id", "action", "occurred_at", "id"),
                "actor_id IS NOT NULL AND subject_id IS NOT NULL",
            ),
        )
    ),
    (
        "ix_users_flags_created_at_id",
        "users",
        ("is_active", "is_superuser", "created_at", "id"),
        None,
    ),
    (
        "ix_users_flags_email_c_id",
        "users",
        ("is_active", "is_superuser", 'email COLLATE "C"', "id"),
        None,
    ),
    ("ix_sessions_live", "sessions", ("user_id", "expires_at"), "revoked_at IS NULL"),
    ("ix_sessions_revoked_at", "sessions", ("revoked_at",), "revoked_at IS NOT NULL"),
    ("ix_sessions_created_at", "sessions", ("created_at",), None),
    ("ix_api_keys_good", "api_keys", ("user_id", "expires_at"), "revoked_at IS NULL"),
    ("ix_api_keys_expires_at", "api_keys", ("expires_at",), None),
    ("ix_invitations_open_expires_at", "invitations", ("expires_at",), OPEN),
    (
        "ix_invitations_ended_at",
        "invitations",
        ("LEAST(expires_at, accepted_at, revoked_at)",),
        None,
    ),
    ("ix_email_changes_expires_at", "email_changes", ("expires_at",), None),  # slice: email-change
    ("ix_passkeys_user_id_id", "passkeys", ("user_id", "id"), None),  # slice: passkeys
    ("ix_items_owner_id_title_c_id", "items", TITLE, "deleted_at IS NULL"),  # slice: items
    ("ix_items_created_at", "items", ("created_at",), None),  # slice: items
)


def is_invalid(name: str) -> bool:
    """Whether an earlier run of this migration was interrupted while it made the index.

    PostgreSQL keeps such an index, uses it for nothing, and calls it existing.
    """
    if context.is_offline_mode():
        return False
    query = sa.text("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    return bool(op.get_bind().scalar(query, {"name": name}))


def upgrade() -> None:
    """Apply."""
    with op.get_context().autocommit_block():
        for name, table, columns, where in INDEXES:
            if is_invalid(name):
                op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
            op.create_index(
                name,
                table,
                [sa.text(column) for column in columns],
                postgresql_where=None if where is None else sa.text(where),
                postgresql_concurrently=True,
                if_not_exists=True,
            )


def downgrade() -> None:
    """Take back."""
    with op.get_context().autocommit_block():
        for name, table, _, _ in INDEXES:
            op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)
