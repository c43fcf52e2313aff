"""Overrides of feature flags at run time."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, DateTime, Double, String, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from fastapi_base.models import base

NAME_LENGTH = 64


class FlagOverride(SQLModel, table=True):
    """An override of a flag's default, for all or some callers.

    Account ids are not foreign keys: the id of a deleted account matches nobody.
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
