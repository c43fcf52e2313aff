"""The end of an account."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.schemas.user import PASSWORD_MAX


class PasswordGiven(BaseModel):
    """The proof that the account's owner asks."""

    model_config = ConfigDict(extra="forbid")

    current_password: str = Field(
        max_length=PASSWORD_MAX,
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    )


class DeletionRead(BaseModel):
    """When an account will be removed."""

    delete_after: datetime = Field(
        description="Logging in before keeps the account.", examples=["2026-02-14T12:00:00Z"]
    )
