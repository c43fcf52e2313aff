"""The state of schedules in Beat, and changes made by operators."""

from datetime import datetime

from sqlalchemy import Boolean, DateTime, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.models import base

NAME_LENGTH = 64
TEXT_LENGTH = 200


class ScheduleState(SQLModel, table=True):
    """The state of a schedule that is declared in code.

    `override` replaces the schedule in code. `next_at` is the next time to run, computed from
    `basis`; `last_at` is the last time that was processed.
    """

    __tablename__ = "schedules"
    metadata = base.metadata

    name: str = Field(sa_type=String(NAME_LENGTH), primary_key=True)
    override: str | None = Field(default=None, sa_type=String(TEXT_LENGTH))
    enabled: bool = Field(
        default=True, sa_type=Boolean, sa_column_kwargs={"server_default": text("true")}
    )
    basis: str = Field(sa_type=String(TEXT_LENGTH))
    next_at: datetime = Field(sa_type=DateTime(timezone=True))
    last_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
