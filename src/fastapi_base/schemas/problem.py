"""Error responses (RFC 9457)."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class InvalidField(BaseModel):
    """One invalid part of the request."""

    location: list[str | int] = Field(examples=[["body", "email"]])
    message: str = Field(examples=["value is not a valid email address"])
    type: str = Field(examples=["value_error"])


class Problem(BaseModel):
    """A problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="A stable identifier of the kind of problem.",
        examples=["urn:fastapi-base:not-found"],
    )
    title: str = Field(examples=["The object does not exist"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(
        description="What happened in this case.", examples=["The job does not exist"]
    )
    instance: str = Field(examples=["/api/v1/jobs/0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    request_id: str | None = Field(
        default=None, description="Quote it in support requests.", examples=["5f0c2a9be1d34c07"]
    )
    errors: list[InvalidField] | None = Field(
        default=None, description="Only for invalid requests: the first errors."
    )
    errors_left_out: int | None = Field(
        default=None, description="Number of further errors, if any.", examples=[3]
    )

    def body(self) -> dict[str, Any]:
        """The problem as JSON data, without null members."""
        return self.model_dump(mode="json", exclude_none=True)
