"""Changes of an account's address."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.schemas.user import PASSWORD_MAX, Email


class EmailChangeRequest(BaseModel):
    """The address to change to, and the proof that the account's owner asks."""

    model_config = ConfigDict(extra="forbid")

    new_email: Email
    current_password: str = Field(
        max_length=PASSWORD_MAX,
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    )


class EmailChangeRead(BaseModel):
    """A change that waits for one or both addresses."""

    model_config = ConfigDict(from_attributes=True)

    new_email: str = Field(examples=["ada@example.org"])
    expires_at: datetime = Field(examples=["2026-02-03T12:00:00Z"])
    old_confirmed: bool = Field(examples=[True])
    new_confirmed: bool = Field(examples=[False])


class EmailChangeConfirmed(BaseModel):
    """What came of a confirmation."""

    status: Literal["changed", "waiting"] = Field(
        description="`waiting`: for the other address.", examples=["waiting"]
    )
