"""Background jobs: the outbox, the record of what became of each, and the dead letters, in one."""

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
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.core.caller import REQUEST_ID_LENGTH
from fastapi_base.core.ids import uuid7
from fastapi_base.models import base

KIND_LENGTH = 64
KEY_LENGTH = 200
ERROR_LENGTH = 500
# A trigger sends it whenever jobs are added; relays listen.
CHANNEL = "fastapi_base_jobs"
# Another trigger sends on this one the id of a job of which its owner can see something new.
EVENTS = "fastapi_base_job_events"
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
_UNFINISHED = "state IN ('queued', 'running')"


class Job(SQLModel, table=True):
    """One job. The row is written in the transaction of what asks for it.

    `id` is the id of the broker's task too. `trace` is what carries a trace to the worker. `seq`
    orders jobs of one `order_key`. `attempt` counts how often a worker began it, `publishes` how
    often the broker was given it for this attempt. `unique_key` is let go at the end of the job, or
    at `unique_until` where that is set.
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
        Index("ix_jobs_running", "started_at", postgresql_where=text("state = 'running'")),
        Index(
            "ix_jobs_order",
            "order_key",
            "seq",
            postgresql_where=text(f"order_key IS NOT NULL AND {_UNFINISHED}"),
        ),
        Index("ix_jobs_owner_id_id", "owner_id", "id"),
        Index("ix_jobs_then_id", "then_id", postgresql_where=text("then_id IS NOT NULL")),
        Index(
            "ix_jobs_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")
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
