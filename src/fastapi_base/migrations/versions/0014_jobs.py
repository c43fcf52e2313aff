"""Background jobs: outbox, record and dead letters."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UNFINISHED = "state IN ('queued', 'running')"
# By a trigger, so that nothing adds a job and forgets to say so. It comes with the commit.
FUNCTION = """
CREATE FUNCTION wake_relays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('fastapi_base_jobs', '');
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER wake_relays AFTER INSERT ON jobs
FOR EACH STATEMENT EXECUTE FUNCTION wake_relays()
"""

# Only jobs that somebody owns are watched.
TELL = """
CREATE FUNCTION tell_watchers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('fastapi_base_job_events', NEW.id::text);
    RETURN NULL;
END $$
"""
TELL_TRIGGER = """
CREATE TRIGGER tell_watchers AFTER UPDATE OF state, progress ON jobs
FOR EACH ROW WHEN (NEW.owner_id IS NOT NULL) EXECUTE FUNCTION tell_watchers()
"""


def moment(name: str, *, needed: bool = False) -> sa.Column[datetime]:
    """A column of a time, now by default where there must be one."""
    default = sa.text("now()") if needed else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=not needed)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("queue", sa.String(32), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(16), server_default="queued", nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.Column("trace", postgresql.JSONB(), nullable=True),
        sa.Column("unique_key", sa.String(200), nullable=True),
        moment("unique_until"),
        sa.Column("order_key", sa.String(200), nullable=True),
        sa.Column("attempt", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.SmallInteger(), nullable=False),
        sa.Column("publishes", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        moment("created_at", needed=True),
        moment("run_at", needed=True),
        *map(moment, ["published_at", "started_at", "finished_at", "cancel_requested_at"]),
        sa.Column("progress", postgresql.JSONB(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("error", sa.String(500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_jobs_owner_id_users"), ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_state"),
        ),
    )
    for name, columns, where in [
        ("ix_jobs_due", ["run_at"], "state = 'queued' AND published_at IS NULL"),
        ("ix_jobs_published", ["published_at"], "state = 'queued' AND published_at IS NOT NULL"),
        ("ix_jobs_running", ["started_at"], "state = 'running'"),
        ("ix_jobs_order", ["order_key", "seq"], f"order_key IS NOT NULL AND {UNFINISHED}"),
        ("ix_jobs_finished_at", ["finished_at"], "finished_at IS NOT NULL"),
    ]:
        op.create_index(name, "jobs", columns, postgresql_where=sa.text(where))
    op.create_index(
        "uq_jobs_unique_key",
        "jobs",
        ["unique_key"],
        unique=True,
        postgresql_where=sa.text("unique_key IS NOT NULL"),
    )
    op.create_index("ix_jobs_owner_id_id", "jobs", ["owner_id", "id"])
    op.execute(FUNCTION)
    op.execute(TRIGGER)
    op.execute(TELL)
    op.execute(TELL_TRIGGER)


def downgrade() -> None:
    """Take back."""
    op.drop_table("jobs")
    op.execute("DROP FUNCTION tell_watchers()")
    op.execute("DROP FUNCTION wake_relays()")
