"""Tokens and sessions."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.schemas.identity.user import CurrentPassword

# How the client receives a session.
type LoginMode = Literal["tokens", "cookie"]


class TokenRead(BaseModel):
    """An access token and a refresh token (RFC 6749, 5.1)."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2ln"])
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds until it expires.", examples=[900])
    refresh_token: str = Field(
        description="For /auth/refresh, which returns a new one; single-use.",
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
    """The CSRF token of a session whose id is in a cookie."""

    csrf_token: str = Field(
        description="For the header `X-CSRF-Token` of unsafe methods.",
        examples=["dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
    )


type LoginResult = TokenRead | CookieRead


class Reauthentication(BaseModel):
    """Reauthentication for sessions without a recent login."""

    model_config = ConfigDict(extra="forbid")

    password: CurrentPassword | None = Field(
        default=None,
        description="Required when the login was not recent.",
        examples=["correct horse battery staple"],
    )


type JsonWebKey = dict[str, Any]


class KeySetRead(BaseModel):
    """A JSON Web Key Set (RFC 7517, 5)."""

    keys: list[JsonWebKey] = Field(
        examples=[[{"kty": "OKP", "crv": "Ed25519", "kid": "2026-01", "x": "11qYAYKxCrfVS_7T"}]]
    )
