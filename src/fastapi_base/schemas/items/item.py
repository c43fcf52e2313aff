"""Items as they go over the wire."""

import uuid
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from fastapi_base.models.item import DESCRIPTION_LENGTH, TITLE_LENGTH

BULK_MAX = 1000
IMPORT_ROWS = 20_000
# So many errors are told; the rest is counted.
IMPORT_ERRORS = 100
# PostgreSQL's text holds no NUL.
_NO_NUL = r"^[^\x00]*$"
Title = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=TITLE_LENGTH, pattern=_NO_NUL
    ),
]
Description = Annotated[str, StringConstraints(max_length=DESCRIPTION_LENGTH, pattern=_NO_NUL)]


class ItemCreate(BaseModel):
    """A new item."""

    model_config = ConfigDict(extra="forbid")

    title: Title = Field(examples=["Teapot"])
    description: Description | None = Field(default=None, examples=["Short and stout"])


class ItemUpdate(BaseModel):
    """What changes (as in RFC 7396): an absent member stays, null clears one that may be empty."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    # Not required and not nullable; what a default would be is never read.
    title: Title = Field(default_factory=str, examples=["Teapot"])
    description: Description | None = Field(default=None, examples=[None])

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one member to change")
        return self

    def changes(self) -> dict[str, str | None]:
        """The members that were sent."""
        return self.model_dump(exclude_unset=True)


class ItemRead(BaseModel):
    """An item."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    title: str = Field(examples=["Teapot"])
    description: str | None = Field(examples=["Short and stout"])
    version: int = Field(description="Counts changes; `ETag` has it too.", examples=[1])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])


class ItemsCreate(BaseModel):
    """Many new items: all of them are made, or none."""

    model_config = ConfigDict(extra="forbid")

    items: list[ItemCreate] = Field(
        min_length=1, max_length=BULK_MAX, examples=[[{"title": "Teapot"}, {"title": "Cup"}]]
    )


class ItemsCreated(BaseModel):
    """The new items' ids, in the order of the request."""

    ids: list[uuid.UUID] = Field(examples=[["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"]])


class ItemsImport(BaseModel):
    """A file of items, as a job keeps it."""

    text: str
    partial: bool


class RowError(BaseModel):
    """What is wrong with a row of a file. `line` counts from 1, the header's; `column` is null when
    the row has too many fields or too few."""

    line: int
    column: str | None
    message: str


class ItemsImported(BaseModel):
    """What came of a file: `errors` are the first ones, a row may have several."""

    rows: int
    imported: int
    rejected: int
    errors: list[RowError]
