"""Background jobs as callers see them."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TEXT_MAX = 100_000


class WordCountRequest(BaseModel):
    """A text whose words shall be counted."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(
        min_length=1, max_length=TEXT_MAX, examples=["the quick brown fox jumps over the dog"]
    )


class WordCount(BaseModel):
    """What the word count found."""

    words: int = Field(ge=0, examples=[8])
    unique_words: int = Field(ge=0, examples=[7])
    characters: int = Field(ge=0, examples=[38])


class JobRead(BaseModel):
    """A job and how far it is."""

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    kind: Literal["word-count"] = Field(examples=["word-count"])
    status: Literal["queued", "running", "succeeded", "failed"] = Field(examples=["succeeded"])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    result: WordCount | None = Field(default=None, description="Present once it succeeded.")
