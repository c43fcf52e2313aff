"""Feature flags as superusers see them."""

import uuid
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from fastapi_base.schemas.text import NO_NUL

# Strict, with bool before int: `true` is not read as 1, and "5" is not read as a number.
Value = Annotated[
    StrictBool
    | StrictInt
    | StrictFloat
    | Annotated[StrictStr, Field(max_length=1000, pattern=NO_NUL)],
    Field(union_mode="left_to_right", examples=[True]),
]


class OverrideWrite(BaseModel):
    """An override of a flag and the accounts it applies to."""

    model_config = ConfigDict(extra="forbid")

    value: Value
    percentage: float = Field(
        default=100,
        ge=0,
        le=100,
        # Otherwise `false` would be accepted as 0.
        strict=True,
        description="Percentage of accounts that get the value. Below 100, anonymous callers keep"
        " the default. Accounts included at 10 are also included at 20.",
        examples=[25],
    )
    user_ids: list[uuid.UUID] = Field(
        default_factory=list,
        max_length=1000,
        description="Accounts that always get the value.",
        examples=[["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"]],
    )


class FlagRead(BaseModel):
    """A flag and its override."""

    name: str = Field(examples=["read-only"])
    description: str = Field(examples=["Reject all requests that change data."])
    default: Value
    override: OverrideWrite | None
