"""Merge patches (RFC 7396): absent members stay unchanged, null clears a member."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator


def absent() -> Any:
    """The default of members that may be absent but not null; it is never read."""
    return None


class Changes(BaseModel):
    """Changes to an object; at least one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must contain at least one member to change")
        return self

    def changes(self) -> dict[str, Any]:
        """The members that the client sent."""
        return self.model_dump(exclude_unset=True)
