"""Jobs that come after all of a group."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# By a trigger, since jobs end in many places. The last two of a group that end at once meet at the
# row of the job that waits: the second one counts on from what the first one committed.
FUNCTION = """
CREATE FUNCTION count_group() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before integer := 0;
    after integer := 0;
    unfinished integer;
BEGIN
    IF OLD.state IN ('queued', 'running') THEN before := 1; END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.state IN ('queued', 'running') THEN after := 1; END IF;
    END IF;
    IF before <> after THEN
        UPDATE jobs SET waits_for = waits_for + after - before,
            run_at = CASE WHEN waits_for + after - before = 0 THEN now() ELSE run_at END
        WHERE id = OLD.then_id AND waits_for > 0 RETURNING waits_for INTO unfinished;
        IF unfinished = 0 THEN PERFORM pg_notify('fastapi_base_jobs', ''); END IF;
    END IF;
    RETURN NULL;
END $$
"""
CHANGED = """
CREATE TRIGGER count_group_changed AFTER UPDATE OF state ON jobs
FOR EACH ROW WHEN (NEW.then_id IS NOT NULL) EXECUTE FUNCTION count_group()
"""
REMOVED = """
CREATE TRIGGER count_group_removed AFTER DELETE ON jobs
FOR EACH ROW WHEN (OLD.then_id IS NOT NULL) EXECUTE FUNCTION count_group()
"""


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("then_id", sa.Uuid(), nullable=True))
    waits_for = sa.Column("waits_for", sa.Integer(), server_default=sa.text("0"), nullable=False)
    op.add_column("jobs", waits_for)
    op.execute(FUNCTION)
    op.execute(CHANGED)
    op.execute(REMOVED)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP TRIGGER count_group_removed ON jobs")
    op.execute("DROP TRIGGER count_group_changed ON jobs")
    op.execute("DROP FUNCTION count_group()")
    op.drop_column("jobs", "waits_for")
    op.drop_column("jobs", "then_id")
