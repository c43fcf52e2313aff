"""Deactivation and deletion of accounts."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.schemas.identity.user import CurrentPassword


class PasswordGiven(BaseModel):
    """The password of the account."""

    model_config = ConfigDict(extra="forbid")

    current_password: CurrentPassword


class DeletionRead(BaseModel):
    """The time at which an account will be deleted."""

    delete_after: datetime = Field(
        description="Logging in before this time cancels the deletion.",
        examples=["2026-02-14T12:00:00Z"],
    )
