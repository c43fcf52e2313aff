"""How a worker makes sure of a job that it has claimed."""

from collections.abc import Sequence

from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The lock first, then a look that sees all that was committed before it: in one statement the look
# would be older than the lock. Whoever holds it is on the way out, or only looks.
FUNCTION = """
CREATE FUNCTION own_job(job uuid, begun integer, key bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '0', true);
    PERFORM pg_advisory_xact_lock(key);
    RETURN EXISTS (SELECT FROM jobs WHERE id = job AND state = 'running' AND attempt = begun);
END $$
"""


def upgrade() -> None:
    """Apply."""
    op.execute(FUNCTION)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP FUNCTION own_job(uuid, integer, bigint)")
