"""Tokens."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.schemas.user import PASSWORD_MAX


class TokenRead(BaseModel):
    """An access token with the refresh token that follows it (RFC 6749, 5.1)."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2ln"])
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds until it expires.", examples=[900])
    refresh_token: str = Field(
        description="Good for one call of /auth/refresh, which returns the next one.",
        examples=["rt_dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
    )


class RefreshRequest(BaseModel):
    """A refresh token to exchange."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: str = Field(
        min_length=1,
        max_length=256,
        examples=["rt_dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
        json_schema_extra={"format": "password"},
    )


class CookieRead(BaseModel):
    """A session whose id is in a cookie; this is the token that goes with it."""

    csrf_token: str = Field(
        description="For the header `X-CSRF-Token` of requests that change something.",
        examples=["dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
    )


class Reauthentication(BaseModel):
    """The proof that its owner asks, where the login was not recent."""

    model_config = ConfigDict(extra="forbid")

    password: str | None = Field(
        default=None,
        max_length=PASSWORD_MAX,
        description="Needed when the login was not recent.",
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    )
