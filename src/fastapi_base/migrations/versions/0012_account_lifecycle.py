"""Deactivated accounts and those to be deleted; what is needed to remove what is over."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# One change of an event is let through: that the origin of an account which is gone is forgotten.
FUNCTION = """
CREATE FUNCTION refuse_change_but_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.address IS NULL AND NEW.user_agent IS NULL
        AND to_jsonb(NEW) - '{address,user_agent}'::text[]
            = to_jsonb(OLD) - '{address,user_agent}'::text[]
        AND COALESCE(OLD.actor_id, OLD.subject_id) IS NOT NULL
        AND NOT EXISTS (SELECT FROM users WHERE id = COALESCE(OLD.actor_id, OLD.subject_id))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% can only be added to', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""
STATEMENTS = """
CREATE TRIGGER append_only BEFORE {events} ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
ROWS = """
CREATE TRIGGER append_only_rows BEFORE UPDATE ON audit_events
FOR EACH ROW EXECUTE FUNCTION refuse_change_but_erasure()
"""


def upgrade() -> None:
    """Apply."""
    for name in ["deactivated_at", "delete_after"]:
        op.add_column("users", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_users_deactivated_is_not_active"),
        "users",
        "deactivated_at IS NULL OR NOT is_active",
    )
    op.create_index(
        "ix_users_delete_after",
        "users",
        ["delete_after"],
        postgresql_where=sa.text("delete_after IS NOT NULL"),
    )
    op.create_index(op.f("ix_refresh_tokens_expires_at"), "refresh_tokens", ["expires_at"])
    op.create_index(op.f("ix_one_time_tokens_expires_at"), "one_time_tokens", ["expires_at"])
    op.execute(FUNCTION)
    op.execute("DROP TRIGGER append_only ON audit_events")
    op.execute(STATEMENTS.format(events="DELETE OR TRUNCATE"))
    op.execute(ROWS)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP TRIGGER append_only_rows ON audit_events")
    op.execute("DROP TRIGGER append_only ON audit_events")
    op.execute("DROP FUNCTION refuse_change_but_erasure()")
    op.execute(STATEMENTS.format(events="UPDATE OR DELETE OR TRUNCATE"))
    op.drop_index(op.f("ix_one_time_tokens_expires_at"), "one_time_tokens")
    op.drop_index(op.f("ix_refresh_tokens_expires_at"), "refresh_tokens")
    op.drop_index("ix_users_delete_after", "users")
    op.drop_constraint(op.f("ck_users_deactivated_is_not_active"), "users")
    for name in ["delete_after", "deactivated_at"]:
        op.drop_column("users", name)
