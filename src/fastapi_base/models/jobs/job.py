"""Background jobs: the outbox, the results, and the dead letters, in one table."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    String,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import REQUEST_ID_LENGTH
from fastapi_base.models import base

KIND_LENGTH = 64
KEY_LENGTH = 200
ERROR_LENGTH = 500
# A trigger notifies this channel when jobs are added; relays listen on it.
CHANNEL = "fastapi_base_jobs"
# Another trigger sends the id of a job on this channel when its visible state changes.
EVENTS = "fastapi_base_job_events"
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
_UNFINISHED = "state IN ('queued', 'running')"


class Job(SQLModel, table=True):
    """A job. The row is inserted in the transaction that creates the job.

    `id` is also the id of the broker's task, and `trace` holds the trace context for the worker.
    `seq` orders jobs with the same `order_key`. `attempt` counts starts by a worker, `publishes`
    the deliveries to the broker in this attempt; `urgency` is the priority of the latest message.
    `unique_key` is released when the job finishes, or at `unique_until` if that is set.

    `deaths` counts deaths of its worker that no witness process observed, since the job last ended
    in an orderly way (services/jobs/deaths.py); -1 means that the next death does not count.
    `suspect` means that the job runs in a separate process, and `crashes` counts how often it ended
    such a process.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES}", name="state"),
        Index(
            "uq_jobs_unique_key",
            "unique_key",
            unique=True,
            postgresql_where=text("unique_key IS NOT NULL"),
        ),
        Index(
            "ix_jobs_due",
            "run_at",
            postgresql_where=text("state = 'queued' AND published_at IS NULL"),
        ),
        Index(
            "ix_jobs_published",
            "published_at",
            postgresql_where=text("state = 'queued' AND published_at IS NOT NULL"),
        ),
        Index(
            "ix_jobs_waiting",
            "queue",
            "priority",
            "run_at",
            "seq",
            postgresql_where=text("state = 'queued' AND published_at IS NULL AND NOT suspect"),
        ),
        Index(
            "ix_jobs_suspect",
            "queue",
            "priority",
            "run_at",
            "seq",
            postgresql_where=text(f"suspect AND {_UNFINISHED}"),
        ),
        Index("ix_jobs_deaths", "kind", postgresql_where=text("deaths > 0 OR crashes > 0")),
        Index("ix_jobs_running", "started_at", postgresql_where=text("state = 'running'")),
        Index(
            "ix_jobs_order",
            "order_key",
            "seq",
            postgresql_where=text(f"order_key IS NOT NULL AND {_UNFINISHED}"),
        ),
        # For the list, whose filters on state, kind and owner precede the order. Each index is
        # written four times per job as its state changes. Lists without a filter on the state merge
        # the states (services/jobs/queries.py), so that four indexes suffice instead of eight.
        # PostgreSQL prefers an index whose first column follows the order of the rows, even if it
        # has to filter by kind. Hence the index for a kind begins with the state, too.
        Index("ix_jobs_state_created_at_id", "state", "created_at", "id"),
        Index("ix_jobs_state_kind_created_at_id", "state", "kind", "created_at", "id"),
        *(
            Index(
                f"ix_jobs_{'_'.join(columns)}",
                *columns,
                postgresql_where=text("owner_id IS NOT NULL"),
            )
            for columns in (
                ("owner_id", "state", "created_at", "id"),
                ("owner_id", "kind", "state", "created_at", "id"),
            )
        ),
        Index("ix_jobs_then_id", "then_id", postgresql_where=text("then_id IS NOT NULL")),
        Index(
            "ix_jobs_state_finished_at",
            "state",
            "finished_at",
            postgresql_where=text("finished_at IS NOT NULL"),
        ),
    )
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    seq: int = Field(sa_type=BigInteger, sa_column_args=[Identity(always=True)])
    kind: str = Field(sa_type=String(KIND_LENGTH))
    version: int = Field(sa_type=SmallInteger)
    payload: dict[str, Any] = Field(sa_type=JSONB)
    queue: str = Field(sa_type=String(32))
    priority: int = Field(sa_type=SmallInteger)
    state: str = Field(sa_type=String(16), sa_column_kwargs={"server_default": "queued"})
    owner_id: uuid.UUID | None = Field(
        default=None, sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")]
    )
    request_id: str | None = Field(default=None, sa_type=String(REQUEST_ID_LENGTH))
    trace: dict[str, str] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    unique_key: str | None = Field(default=None, sa_type=String(KEY_LENGTH))
    unique_until: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    order_key: str | None = Field(default=None, sa_type=String(KEY_LENGTH))
    then_id: uuid.UUID | None = Field(default=None)
    waits_for: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    attempt: int = Field(sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})
    max_attempts: int = Field(sa_type=SmallInteger)
    publishes: int = Field(sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})
    urgency: int | None = Field(default=None, sa_type=SmallInteger)
    suspect: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    deaths: int = Field(sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})
    crashes: int = Field(sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    run_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    published_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    started_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    finished_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    cancel_requested_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    progress: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    result: dict[str, Any] | None = Field(default=None, sa_type=JSONB(none_as_null=True))
    error: str | None = Field(default=None, sa_type=String(ERROR_LENGTH))
