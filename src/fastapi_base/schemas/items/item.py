"""Items in their wire format."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fastapi_base.models.items.item import DESCRIPTION_LENGTH, TITLE_LENGTH
from fastapi_base.schemas.changes import Changes, absent
from fastapi_base.schemas.text import Text, one_line

BULK_MAX = 1000
IMPORT_ROWS = 20_000
# At most this many errors are listed; the rest are counted.
IMPORT_ERRORS = 100
Title = Annotated[
    str, StringConstraints(min_length=1, max_length=TITLE_LENGTH), one_line(TITLE_LENGTH)
]
Description = Annotated[Text, StringConstraints(max_length=DESCRIPTION_LENGTH)]


class ItemCreate(BaseModel):
    """A new item."""

    model_config = ConfigDict(extra="forbid")

    title: Title = Field(examples=["Teapot"])
    description: Description | None = Field(default=None, examples=["Short and stout"])


class ItemUpdate(Changes):
    """Changes to an item (RFC 7396): absent members stay unchanged, null clears a member."""

    title: Title = Field(default_factory=absent, examples=["Teapot"])
    description: Description | None = Field(default=None, examples=[None])


class ItemRead(BaseModel):
    """An item."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    title: str = Field(examples=["Teapot"])
    description: str | None = Field(examples=["Short and stout"])
    version: int = Field(description="Incremented by each change; also in `ETag`.", examples=[1])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    updated_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])


class ItemsCreate(BaseModel):
    """Many new items: all are created, or none."""

    model_config = ConfigDict(extra="forbid")

    items: list[ItemCreate] = Field(
        min_length=1, max_length=BULK_MAX, examples=[[{"title": "Teapot"}, {"title": "Cup"}]]
    )


class ItemsCreated(BaseModel):
    """The ids of the new items, in the order of the request."""

    ids: list[uuid.UUID] = Field(examples=[["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"]])


class ItemsImport(BaseModel):
    """A file of items, as stored in a job."""

    text: str
    partial: bool
    # Missing in payloads of earlier releases.
    escape_formulas: bool = False


class RowError(BaseModel):
    """An error in a row of a file. `line` counts from 1; `column` is null when a cell has no
    column in the header."""

    line: int
    column: str | None
    message: str


class ItemsImported(BaseModel):
    """The result of an import. `errors` holds the first errors; a row may have several."""

    rows: int
    imported: int
    rejected: int
    errors: list[RowError]
