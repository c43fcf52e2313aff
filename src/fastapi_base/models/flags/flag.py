"""Feature flags that were given another value at run time."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, DateTime, Double, String, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.models import base

NAME_LENGTH = 64


class FlagOverride(SQLModel, table=True):
    """The value of a flag for some callers, in place of its default.

    The ids of accounts are no foreign keys: an account that is gone matches nobody.
    """

    __tablename__ = "flag_overrides"
    metadata = base.metadata

    name: str = Field(sa_type=String(NAME_LENGTH), primary_key=True)
    value: Any = Field(sa_type=JSONB, nullable=False)
    percentage: float = Field(default=100, sa_type=Double)
    user_ids: list[uuid.UUID] = Field(
        default_factory=list,
        sa_type=ARRAY(Uuid),
        sa_column_kwargs={"server_default": text("'{}'")},
    )
    updated_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
