"""Events of the audit log that are old may be removed."""

from collections.abc import Sequence

from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Decided here, where no wrong setting and no intruder in the service can change it: nobody hides
# what was done lately.
FUNCTION = """
CREATE FUNCTION refuse_removal_of_what_is_young() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.occurred_at < now() - interval '30 days' THEN
        RETURN OLD;
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
CREATE TRIGGER append_only_removal BEFORE DELETE ON audit_events
FOR EACH ROW EXECUTE FUNCTION refuse_removal_of_what_is_young()
"""


def upgrade() -> None:
    """Apply."""
    op.execute(FUNCTION)
    op.execute(ROWS)
    op.execute("DROP TRIGGER append_only ON audit_events")
    op.execute(STATEMENTS.format(events="TRUNCATE"))


def downgrade() -> None:
    """Take back."""
    op.execute("DROP TRIGGER append_only ON audit_events")
    op.execute(STATEMENTS.format(events="DELETE OR TRUNCATE"))
    op.execute("DROP TRIGGER append_only_removal ON audit_events")
    op.execute("DROP FUNCTION refuse_removal_of_what_is_young()")
