"""Accounts and the audit log as superusers see and change them."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
)

from fastapi_base.schemas.moment import Moment
from fastapi_base.schemas.text import Line
from fastapi_base.schemas.user import Email, Password


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which accounts to list; those for which all that is given holds."""

    email_prefix: Annotated[str | None, Field(max_length=254, pattern=r"^[!-~]*$")] = None
    is_active: bool | None = None
    is_superuser: bool | None = None
    created_from: Moment | None = None
    created_before: Moment | None = None


class UserCreate(BaseModel):
    """An account that a superuser adds."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    password: Password
    display_name: Line | None = Field(default=None, examples=["Ada Lovelace"])
    is_superuser: StrictBool = Field(default=False, examples=[False])


class UserPatch(BaseModel):
    """What a superuser changes of an account; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    display_name: Line | None = Field(
        default=None, description="null removes it.", examples=["Ada Lovelace"]
    )
    is_superuser: StrictBool = Field(default=False, examples=[True])


class SessionsEnded(BaseModel):
    """How many sessions were ended."""

    count: int = Field(ge=0, examples=[2])


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events to list; those for which all that is given holds."""

    actor_id: uuid.UUID | None = None
    subject_id: uuid.UUID | None = None
    action: Annotated[str | None, Field(max_length=64, pattern=r"^[a-z.-]*$")] = None
    occurred_from: Moment | None = None
    occurred_before: Moment | None = None


class AuditEventRead(BaseModel):
    """One thing that happened."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    occurred_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    action: str = Field(examples=["account.changed"])
    actor_id: uuid.UUID | None = Field(
        description="Who did it, where that is proven.",
        examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"],
    )
    subject_id: uuid.UUID | None = Field(
        description="Whose account it was done to.",
        examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"],
    )
    address: str | None = Field(examples=["192.0.2.7"])
    user_agent: str | None = Field(examples=["ExampleApp/1.0"])
    request_id: str | None = Field(examples=["5f0c2a9be1d34c075f0c2a9be1d34c07"])
    details: dict[str, Any] = Field(
        examples=[{"changes": {"is_superuser": {"before": False, "after": True}}}]
    )
