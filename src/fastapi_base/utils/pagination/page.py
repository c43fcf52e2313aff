"""Pages of lists in responses."""

from typing import Any

from pydantic import BaseModel, Field

# The limit for counting a total: counting a million rows takes as long as reading them.
TOTAL_BOUND = 10_000
_CURSOR = "zLh0b3BhcXVlIHRvIHdobyBjYXJyaWVzIGl0"


class Page[T](BaseModel):
    """A page of a list, with cursors to its neighbours."""

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """The name in the OpenAPI description: `JobPage` for a page of `JobRead`."""
        return f"{params[0].__name__.removesuffix('Read')}Page"

    items: list[T]
    next: str | None = Field(
        default=None,
        description="The `cursor` of the next page; null at the end.",
        examples=[_CURSOR],
    )
    previous: str | None = Field(
        default=None,
        description="The `cursor` of the previous page; null at the start.",
        examples=[None],
    )
    total: int | None = Field(
        default=None,
        description=f"The number of rows on all pages, counted up to {TOTAL_BOUND:,}; only with"
        " `total=true`.",
        examples=[None],
    )
    total_is_exact: bool | None = Field(
        default=None,
        description="Whether `total` is exact; false if there are more rows.",
        examples=[None],
    )
