"""Accounts as callers see them."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from email_validator import validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from fastapi_base.schemas.text import Line

EMAIL_MAX = 254
PASSWORD_MIN = 12
PASSWORD_MAX = 256


def _strip(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _one_spelling(value: str) -> str:
    if len(value) > EMAIL_MAX:
        raise ValueError(f"must have at most {EMAIL_MAX} characters")
    # Each refusal has its reason, as for a local part beyond ASCII.
    found = validate_email(value, check_deliverability=False, allow_smtputf8=False, strict=True)
    return (found.ascii_email or "").lower()


# One address, one spelling: no blanks around it; the domain in ASCII (A-labels of IDNA 2008), so
# that letters which look alike are seen to be others; the local part ASCII only, for the same
# reason, and in lower case, since no provider that people use tells case apart.
Email = Annotated[
    # Not EmailStr, which takes "Ada <ada@example.com>" too.
    str,
    BeforeValidator(_strip),
    AfterValidator(_one_spelling),
    Field(
        max_length=EMAIL_MAX,
        examples=["ada@example.com"],
        json_schema_extra={"format": "email"},
    ),
]
_email = TypeAdapter[str](Email)


def normal_email(value: str) -> str | None:
    """The address as it is stored, or None for what is no address and so can have no account."""
    try:
        return _email.validate_python(value)
    except ValidationError:
        return None


Password = Annotated[
    str,
    Field(
        min_length=PASSWORD_MIN,
        max_length=PASSWORD_MAX,
        description="Any characters; length is what makes it strong.",
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    ),
]


class UserRegister(BaseModel):
    """A new account."""

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
    """A new password, and the proof that the old one's owner asks."""

    model_config = ConfigDict(extra="forbid")

    current_password: str = Field(
        max_length=PASSWORD_MAX,
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    )
    new_password: Password


class Received(BaseModel):
    """The same for an address that is known and for one that is not."""

    message: str = Field(examples=["If the address was free, the account exists now. Log in."])


class EmailGiven(BaseModel):
    """An address that a mail shall be sent to."""

    model_config = ConfigDict(extra="forbid")

    email: Email


class LinkToken(BaseModel):
    """The token of a link in a mail."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(
        min_length=1,
        max_length=256,
        examples=["ot_dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
        json_schema_extra={"format": "password"},
    )


class PasswordReset(LinkToken):
    """A new password, and the token of the link that allows it."""

    new_password: Password


class ProfilePatch(BaseModel):
    """What one changes of one's own account; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    display_name: Line | None = Field(
        default=None, description="null removes it.", examples=["Ada Lovelace"]
    )


class UserRead(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    email: str = Field(examples=["ada@example.com"])
    is_verified: bool = Field(description="Whether the address is confirmed.", examples=[True])
    display_name: str | None = Field(examples=["Ada Lovelace"])
    is_active: bool = Field(examples=[True])
    is_superuser: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
