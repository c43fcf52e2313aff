"""Changes of an account's e-mail address."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.schemas.identity.user import CurrentPassword, Email

type EmailChangeStatus = Literal["changed", "waiting"]


class EmailChangeRequest(BaseModel):
    """The new address, and the password of the account."""

    model_config = ConfigDict(extra="forbid")

    new_email: Email
    current_password: CurrentPassword


class EmailChangeRead(BaseModel):
    """A change that awaits the verification of one or both addresses."""

    model_config = ConfigDict(from_attributes=True)

    new_email: str = Field(examples=["ada@example.org"])
    expires_at: datetime = Field(examples=["2026-02-03T12:00:00Z"])
    old_confirmed: bool = Field(examples=[True])
    new_confirmed: bool = Field(examples=[False])


class EmailChangeConfirmed(BaseModel):
    """The result of a confirmation."""

    status: EmailChangeStatus = Field(
        description="`waiting`: the other address is not verified yet.", examples=["waiting"]
    )
