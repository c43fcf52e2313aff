"""Lists in the HTTP layer: query parameters in, `Link` header out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAliasType
from urllib.parse import quote, urlencode

from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from fastapi_base.api.deps import ResourcesDep
from fastapi_base.utils.pagination import (
    TOTAL_BOUND,
    InvalidCursor,
    Listing,
    NotOffered,
    Page,
    PageQuery,
)
from fastapi_base.utils.pagination.cursor import MAX_LENGTH
from fastapi_base.utils.pagination.listing import context

LIMIT = 50
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The requested page, and the response that receives the links to its neighbours."""

    query: PageQuery
    request: Request
    response: Response

    def reply[T](self, page: Page[T]) -> Page[T]:
        """The page, after setting the `Link` header (RFC 8288): `first`, `prev` and `next`."""
        # References without scheme and host: a proxy may have changed those.
        path = quote(self.request.scope["path"])
        given = self.request.query_params.multi_items()
        asked = urlencode([pair for pair in given if pair[0] != "cursor"])
        links = [f'<{path}{asked and "?"}{asked}>; rel="first"']
        for name, cursor in (("prev", page.previous), ("next", page.next)):
            if cursor:
                # Cursors contain only characters that need no quoting.
                links.append(f'<{path}?{asked}{asked and "&"}cursor={cursor}>; rel="{name}"')
        self.response.headers["Link"] = ", ".join(links)
        return page


def paged(listing: Listing) -> Callable[..., Awaitable[PageRequest]]:
    """The dependency that reads `limit`, `cursor`, `sort` and `total` for this list.

    The response is 422 for a cursor that was altered or was issued for another list or order, and
    for a sort order or a filter that cannot be combined with another filter.
    """
    # Named, so that the OpenAPI description names it too: `ItemsSort`.
    order: Any = TypeAliasType(_sort_name(listing), Literal[listing.orders])

    async def dependency(
        request: Request,
        response: Response,
        resources: ResourcesDep,
        limit: Annotated[
            int, Query(ge=1, le=MAX_LIMIT, description="Maximum number of entries.")
        ] = LIMIT,
        cursor: Annotated[
            str | None,
            Query(
                max_length=MAX_LENGTH,
                description="`next` or `previous` of another page, with the same `sort`.",
            ),
        ] = None,
        sort: Annotated[
            list[order] | None,
            Query(
                max_length=1,
                description=_described(listing),
            ),
        ] = None,
        total: Annotated[
            bool,
            Query(description=f"Also count all rows, up to {TOTAL_BOUND:,}. This takes longer."),
        ] = False,
    ) -> PageRequest:
        given = {name for name, value in request.query_params.items() if value}
        try:
            chosen = listing.order(sort or (), given)
        except NotOffered as error:
            raise _refused(error.parameter, str(error)) from error
        position = None
        if cursor is not None:
            try:
                position = resources.cursors.decode(cursor, context(listing, chosen))
            except InvalidCursor as error:
                message = "The cursor is invalid for this list and order; start without a cursor"
                raise _refused("cursor", message) from error
        query = PageQuery(listing, resources.cursors, limit, chosen, position, total)
        return PageRequest(query, request, response)

    return dependency


def _sort_name(listing: Listing) -> str:
    return f"{listing.name.title().replace('-', '')}Sort"


def _described(listing: Listing) -> str:
    """The OpenAPI description of `sort`."""
    said = [
        "The sort order, ascending or (`-`) descending. Text sorts by code point, null sorts as the"
        f" greatest value, and ids break ties. The default is `{listing.default}`."
    ]
    for name, column in listing.ranges.items():
        said.append(f"`{name}` requires `{column}` or `-{column}`.")
    return " ".join(said)


def _refused(parameter: str, message: str) -> RequestValidationError:
    problem = {"type": "value_error", "loc": ("query", parameter), "msg": message}
    return RequestValidationError([problem])


def pages(listing: Listing) -> Any:
    """`Annotated[PageRequest, pages(LISTING)]`: one page of this list."""
    return Depends(paged(listing))


# The `responses` of a route that returns a page.
PAGE_HEADERS: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "description": "URLs of the first, previous and next page (RFC 8288).",
                "schema": {"type": "string"},
            }
        }
    }
}
