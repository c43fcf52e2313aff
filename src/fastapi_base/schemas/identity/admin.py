"""Accounts, for superusers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
)

from fastapi_base.schemas.identity.user import Email, Password, UserRead
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


class AccountOverview(UserRead):
    """An account with what its owner has set up, for operators."""

    #: Set if the owner deactivated the account or asked for its deletion.
    deactivated_at: datetime | None
    delete_after: datetime | None
    #: Since when logins require a code, and how many recovery codes are left.
    second_factor_since: datetime | None
    recovery_codes: int
    #: Numbers of live sessions, usable API keys and passkeys.
    sessions: int
    api_keys: int
    passkeys: int  # slice: passkeys
    # begin slice: oidc
    #: The identity providers that the account is linked to.
    providers: list[str]
    # end slice: oidc


class SessionsEnded(BaseModel):
    """The number of ended sessions."""

    count: int = Field(ge=0, examples=[2])
