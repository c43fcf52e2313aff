"""The steps of a login with an identity provider."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

_TRANSACTION = "oc_dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"


class ProviderRead(BaseModel):
    """An identity provider."""

    name: str = Field(description="The name in paths.", examples=["example"])
    label: str = Field(description="The name to display.", examples=["Example"])


class OidcBegun(BaseModel):
    """The redirect, and the transaction that the page keeps."""

    authorization_url: str = Field(
        examples=["https://login.example.com/authorize?client_id=app&state=af0ifjsldkj"]
    )
    transaction: str = Field(
        description="Required to complete the login. Keep it in the page, for example in"
        " `sessionStorage`, and never in a URL.",
        examples=[_TRANSACTION],
    )


class OidcFinish(BaseModel):
    """The provider's response and the transaction."""

    model_config = ConfigDict(extra="forbid")

    transaction: str = Field(min_length=1, max_length=256, examples=[_TRANSACTION])
    code: str = Field(min_length=1, max_length=4096, examples=["SplxlOBeZQQYbYS6WxSbIA"])
    state: str = Field(min_length=1, max_length=256, examples=["af0ifjsldkj"])
    iss: str | None = Field(
        default=None,
        max_length=255,
        description="If the provider sent one (RFC 9207).",
        examples=["https://login.example.com"],
    )


class IdentityRead(BaseModel):
    """An identity provider that an account is linked to."""

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    provider: str = Field(examples=["example"])
    issuer: str = Field(examples=["https://login.example.com"])
    subject: str = Field(
        description="The account's identifier at the provider.", examples=["248289761001"]
    )
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
