"""Passkeys as their owners see them, and what browsers send and get."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.models.passkey import NAME_LENGTH

PasskeyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=NAME_LENGTH,
        # Something to see, no blanks around it, and no control characters.
        pattern=r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$",
        description="For the list.",
        examples=["Ada's phone"],
    ),
]
Credential = Annotated[
    dict[str, Any],
    Field(
        description="What `PublicKeyCredential.toJSON()` gives.",
        examples=[{"id": "AQID", "rawId": "AQID", "type": "public-key", "response": {}}],
    ),
]


class PasskeyOptions(BaseModel):
    """Options of WebAuthn, in JSON."""

    public_key: dict[str, Any] = Field(
        description="For `PublicKeyCredential.parseCreationOptionsFromJSON()`, or"
        " `parseRequestOptionsFromJSON()` at login.",
        examples=[{"challenge": "cGxfZGhw", "rpId": "example.com", "userVerification": "required"}],
    )


class PasskeyRegister(BaseModel):
    """A new passkey."""

    model_config = ConfigDict(extra="forbid")

    name: PasskeyName
    credential: Credential


class PasskeyRename(BaseModel):
    """A new name."""

    model_config = ConfigDict(extra="forbid")

    name: PasskeyName


class PasskeyLogin(BaseModel):
    """The answer of a passkey."""

    model_config = ConfigDict(extra="forbid")

    credential: Credential


class PasskeyRead(BaseModel):
    """A passkey."""

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    name: str = Field(examples=["Ada's phone"])
    backed_up: bool = Field(
        description="Whether a cloud keeps a copy of it, for other devices.", examples=[True]
    )
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    last_used_at: datetime | None = Field(examples=["2026-01-31T12:00:00Z"])
