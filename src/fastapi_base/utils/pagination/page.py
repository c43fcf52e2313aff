"""Pages as they go over the wire."""

from pydantic import BaseModel, Field

_CURSOR = "zLh0b3BhcXVlIHRvIHdobyBjYXJyaWVzIGl0"


class Page[T](BaseModel):
    """Some of a list, and how to go on from there."""

    items: list[T]
    next: str | None = Field(
        default=None,
        description="What to pass as `cursor` for the page behind this one; null at the end.",
        examples=[_CURSOR],
    )
    previous: str | None = Field(
        default=None,
        description="What to pass as `cursor` for the page before this one; null at the beginning.",
        examples=[None],
    )
    total: int | None = Field(
        default=None,
        description="How many there are on all pages; only when asked for by `total=true`.",
        examples=[None],
    )
