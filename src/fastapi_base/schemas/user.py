"""Accounts as callers see them."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    TypeAdapter,
    ValidationError,
)

PASSWORD_MIN = 12
PASSWORD_MAX = 256


def _strip(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


# One address, one spelling: no blanks around it, the domain in ASCII-compatible lower case, and the
# local part in lower case too, since no provider that people use tells case apart.
Email = Annotated[
    EmailStr,
    BeforeValidator(_strip),
    AfterValidator(str.lower),
    Field(max_length=254, examples=["ada@example.com"]),
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


class PasswordChange(BaseModel):
    """A new password, and the proof that the old one's owner asks."""

    model_config = ConfigDict(extra="forbid")

    current_password: str = Field(
        max_length=PASSWORD_MAX,
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    )
    new_password: Password


class RegistrationReceived(BaseModel):
    """The same for a new address and for one that is known."""

    message: str = Field(examples=["If the address was free, the account exists now. Log in."])


class UserRead(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    email: str = Field(examples=["ada@example.com"])
    is_active: bool = Field(examples=[True])
    is_superuser: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
