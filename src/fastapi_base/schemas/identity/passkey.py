"""Passkeys as shown to their owners, and the messages exchanged with browsers."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.models.identity.passkey import NAME_LENGTH
from fastapi_base.schemas.text import one_line

PasskeyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=NAME_LENGTH,
        description="A name to display in lists.",
        examples=["Ada's phone"],
    ),
    one_line(NAME_LENGTH),
]
Credential = Annotated[
    dict[str, Any],
    Field(
        description="The result of `PublicKeyCredential.toJSON()`.",
        examples=[{"id": "AQID", "rawId": "AQID", "type": "public-key", "response": {}}],
    ),
]


class PasskeyOptions(BaseModel):
    """WebAuthn options as JSON."""

    public_key: dict[str, Any] = Field(
        description="For `PublicKeyCredential.parseCreationOptionsFromJSON()`, or"
        " `parseRequestOptionsFromJSON()` at login.",
        examples=[{"challenge": "cGxfZGhw", "rpId": "example.com", "userVerification": "required"}],
    )


class PasskeyRegister(BaseModel):
    """A passkey to register."""

    model_config = ConfigDict(extra="forbid")

    name: PasskeyName
    credential: Credential


class PasskeyRename(BaseModel):
    """The new name of a passkey."""

    model_config = ConfigDict(extra="forbid")

    name: PasskeyName


class PasskeyLogin(BaseModel):
    """The response of a passkey."""

    model_config = ConfigDict(extra="forbid")

    credential: Credential


class PasskeyRead(BaseModel):
    """A passkey."""

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    name: str = Field(examples=["Ada's phone"])
    backed_up: bool = Field(
        description="Whether the passkey is synced across devices.", examples=[True]
    )
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    last_used_at: datetime | None = Field(examples=["2026-01-31T12:00:00Z"])
