"""Accounts as shown to clients."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from fastapi_base.core import emails
from fastapi_base.core.emails import EMAIL_MAX
from fastapi_base.core.security.passwords import PASSWORD_MAX
from fastapi_base.schemas.text import Line

PASSWORD_MIN = 12


# An e-mail address in its canonical form.
Email = Annotated[
    # Not EmailStr, which also accepts "Ada <ada@example.com>".
    str,
    AfterValidator(emails.normal),
    Field(
        max_length=EMAIL_MAX,
        examples=["ada@example.com"],
        json_schema_extra={"format": "email"},
    ),
]
_email = TypeAdapter[str](Email)


def normal_email(value: str) -> str | None:
    """The address in its stored form, or None if it is invalid and so cannot have an account."""
    try:
        return _email.validate_python(value)
    except ValidationError:
        return None


Password = Annotated[
    str,
    Field(
        min_length=PASSWORD_MIN,
        max_length=PASSWORD_MAX,
        description="Any characters; length determines strength.",
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    ),
]


# An existing password, without the rules for new ones.
CurrentPassword = Annotated[
    str,
    Field(
        max_length=PASSWORD_MAX,
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    ),
]


class UserRegister(BaseModel):
    """An account to register."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    password: Password
    invitation: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="The token of an invitation to this address.",
        examples=["inv_dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
    )


class PasswordChange(BaseModel):
    """A new password, and the current one."""

    model_config = ConfigDict(extra="forbid")

    current_password: CurrentPassword
    new_password: Password


class Received(BaseModel):
    """The same response for known and unknown addresses."""

    message: str = Field(examples=["If the address was available, the account now exists. Log in."])


class EmailGiven(BaseModel):
    """The recipient of a mail."""

    model_config = ConfigDict(extra="forbid")

    email: Email


class LinkToken(BaseModel):
    """The token of a link in an e-mail."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(
        min_length=1,
        max_length=256,
        examples=["ot_dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
        json_schema_extra={"format": "password"},
    )


class HeldLinkToken(LinkToken):
    """The token of a link in a mail, and the password of the account."""

    password: CurrentPassword | None = Field(
        default=None,
        description="The account's password. Not required in a session of the account.",
        examples=["correct horse battery staple"],
    )


class PasswordReset(LinkToken):
    """A new password, and the token of the link that permits the change."""

    new_password: Password


class ProfilePatch(BaseModel):
    """Changes to the caller's account; absent members stay unchanged."""

    model_config = ConfigDict(extra="forbid")

    display_name: Line | None = Field(
        default=None, description="null removes it.", examples=["Ada Lovelace"]
    )


class UserRead(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    email: str = Field(examples=["ada@example.com"])
    is_verified: bool = Field(
        description="Whether the e-mail address is verified.", examples=[True]
    )
    display_name: str | None = Field(examples=["Ada Lovelace"])
    is_active: bool = Field(examples=[True])
    is_superuser: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
