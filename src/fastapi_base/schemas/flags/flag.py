"""Feature flags as superusers see them."""

import uuid
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

# Strict, and bool before int: `true` is not 1 here, nor "5" a number.
Value = Annotated[
    StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=1000)],
    Field(union_mode="left_to_right", examples=[True]),
]


class OverrideWrite(BaseModel):
    """Another value for a flag, and for whom."""

    model_config = ConfigDict(extra="forbid")

    value: Value
    percentage: float = Field(
        default=100,
        ge=0,
        le=100,
        # Else `false` would be taken for 0.
        strict=True,
        description="For this share of all accounts. Below 100, callers without an account keep the"
        " default. Who is in at 10 is in at 20.",
        examples=[25],
    )
    user_ids: list[uuid.UUID] = Field(
        default_factory=list,
        max_length=1000,
        description="For these accounts whatever the share.",
        examples=[["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"]],
    )


class FlagRead(BaseModel):
    """A flag, and what it is overridden by."""

    name: str = Field(examples=["read-only"])
    description: str = Field(examples=["Refuse every request that would change something."])
    default: Value
    override: OverrideWrite | None
