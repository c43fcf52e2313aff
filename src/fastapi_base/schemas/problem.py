"""Error replies (RFC 9457)."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class InvalidField(BaseModel):
    """One part of the request that is wrong."""

    location: list[str | int] = Field(examples=[["body", "email"]])
    message: str = Field(examples=["value is not a valid email address"])
    type: str = Field(examples=["value_error"])


class Problem(BaseModel):
    """A problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Names the kind of problem; stable.", examples=["urn:fastapi-base:not-found"]
    )
    title: str = Field(examples=["There is no such object"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(description="What happened this time.", examples=["There is no such job"])
    instance: str = Field(examples=["/api/v1/jobs/0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    request_id: str | None = Field(
        default=None, description="Quote it when asking for help.", examples=["5f0c2a9be1d34c07"]
    )
    errors: list[InvalidField] | None = Field(
        default=None, description="Only for requests that are not valid."
    )

    def body(self) -> dict[str, Any]:
        """As JSON data, without members that say nothing."""
        return self.model_dump(mode="json", exclude_none=True)
