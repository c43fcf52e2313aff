"""Accounts, for superusers."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
)

from fastapi_base.schemas.identity.user import Email, Password
from fastapi_base.schemas.moment import Moment
from fastapi_base.schemas.text import Line


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Filters of the list of accounts, combined with AND."""

    email_prefix: Annotated[str | None, Field(max_length=254, pattern=r"^[!-~]*$")] = None
    is_active: bool | None = None
    is_superuser: bool | None = None
    created_from: Moment | None = None
    created_before: Moment | None = None


class UserCreate(BaseModel):
    """An account created by a superuser."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    password: Password
    display_name: Line | None = Field(default=None, examples=["Ada Lovelace"])
    is_superuser: StrictBool = Field(default=False, examples=[False])


class UserPatch(BaseModel):
    """Changes to an account by a superuser; absent members stay unchanged."""

    model_config = ConfigDict(extra="forbid")

    display_name: Line | None = Field(
        default=None, description="null removes it.", examples=["Ada Lovelace"]
    )
    is_superuser: StrictBool = Field(default=False, examples=[True])


class SessionsEnded(BaseModel):
    """The number of ended sessions."""

    count: int = Field(ge=0, examples=[2])
