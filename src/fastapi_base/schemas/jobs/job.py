"""Background jobs as shown to clients."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.models.jobs.job import KIND_LENGTH
from fastapi_base.schemas.moment import Moment
from fastapi_base.schemas.text import Text

TEXT_MAX = 100_000
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
# Named, so that the OpenAPI description names it too.
type JobStatus = Status
type JobResult = dict[str, Any]


class WordCountRequest(BaseModel):
    """A text to count the words of."""

    model_config = ConfigDict(extra="forbid")

    text: Text = Field(
        min_length=1, max_length=TEXT_MAX, examples=["the quick brown fox jumps over the dog"]
    )


class WordCount(BaseModel):
    """The result of a word count."""

    words: int = Field(ge=0, examples=[8])
    unique_words: int = Field(ge=0, examples=[7])
    characters: int = Field(ge=0, examples=[38])


class Progress(BaseModel):
    """The progress of a running job, in steps. `total` is null while unknown."""

    done: int = Field(ge=0, examples=[40])
    total: int | None = Field(default=None, ge=0, examples=[100])
    note: str | None = Field(default=None, examples=["rows checked"])


class JobRead(BaseModel):
    """A job and its state."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    kind: str = Field(examples=["word-count"])
    status: JobStatus = Field(examples=["succeeded"])
    created_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    run_at: datetime = Field(
        examples=["2026-01-31T12:00:00Z"], description="The earliest time at which the job starts."
    )
    started_at: datetime | None = Field(default=None, examples=["2026-01-31T12:00:01Z"])
    finished_at: datetime | None = Field(default=None, examples=["2026-01-31T12:00:02Z"])
    attempt: int = Field(ge=0, examples=[1], description="The number of attempts started.")
    progress: Progress | None = Field(
        default=None, description="The progress of the current attempt."
    )
    result: JobResult | None = Field(
        default=None,
        examples=[{"words": 8, "unique_words": 7, "characters": 38}],
        description="Present after success; its members depend on the kind.",
    )
    error: str | None = Field(
        default=None,
        examples=["the payload is not valid at: text"],
        description="The error of the last failed attempt.",
    )


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Filters of the list of jobs, combined with AND."""

    status: JobStatus | None = None
    kind: Annotated[str | None, Field(max_length=KIND_LENGTH, pattern=r"^[a-z0-9-]*$")] = None
    created_from: Moment | None = None
    created_before: Moment | None = None
