"""Lists at the HTTP edge: query parameters in, `Link` out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from fastapi_base.api.deps import ResourcesDep
from fastapi_base.utils.pagination import InvalidCursor, Listing, Page, PageQuery
from fastapi_base.utils.pagination.cursor import MAX_LENGTH
from fastapi_base.utils.pagination.keyset import context

LIMIT = 50
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page that is asked for, and the reply that shall name its neighbours."""

    query: PageQuery
    request: Request
    response: Response

    def reply[T](self, page: Page[T]) -> Page[T]:
        """The page, after `Link` (RFC 8288) was set: first, and prev and next where they are."""
        # References without scheme and host: what a proxy made of those is not known here.
        path = quote(self.request.scope["path"])
        given = self.request.query_params.multi_items()
        asked = urlencode([pair for pair in given if pair[0] != "cursor"])
        links = [f'<{path}{asked and "?"}{asked}>; rel="first"']
        for name, cursor in (("prev", page.previous), ("next", page.next)):
            if cursor:
                # Cursors are made of characters that need no quoting.
                links.append(f'<{path}?{asked}{asked and "&"}cursor={cursor}>; rel="{name}"')
        self.response.headers["Link"] = ", ".join(links)
        return page


def paged(listing: Listing) -> Callable[..., Awaitable[PageRequest]]:
    """The dependency that reads `limit`, `cursor`, `sort` and `total` for this list.

    A cursor that was not made for the list in this order, or was changed, is answered 422.
    """
    order: Any = Literal[listing.orders]
    default = f"`{listing.default}` when none is given"

    async def dependency(
        request: Request,
        response: Response,
        resources: ResourcesDep,
        limit: Annotated[
            int, Query(ge=1, le=MAX_LIMIT, description="How many to return at most.")
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
                max_length=len(listing.columns),
                description="The order, ascending or (`-`) descending; repeat it to sort equal"
                f" ones further. {default}. Null is greatest, ids come last.",
            ),
        ] = None,
        total: Annotated[
            bool, Query(description="Count all pages too, which takes longer.")
        ] = False,
    ) -> PageRequest:
        chosen = tuple(sort or ())
        position = None
        if cursor is not None:
            try:
                position = resources.cursors.open(cursor, context(listing, chosen))
            except InvalidCursor as error:
                problem = {
                    "type": "value_error",
                    "loc": ("query", "cursor"),
                    "msg": "This is no cursor of this list in this order; begin without one",
                }
                raise RequestValidationError([problem]) from error
        query = PageQuery(listing, resources.cursors, limit, chosen, position, total)
        return PageRequest(query, request, response)

    return dependency


def pages(listing: Listing) -> Any:
    """`Annotated[PageRequest, pages(LISTING)]`: a page of this list."""
    return Depends(paged(listing))


# The `responses` of a route that replies with a page.
PAGE_HEADERS: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Link": {
                "description": "Addresses of the first, the previous and the next page (RFC 8288).",
                "schema": {"type": "string"},
            }
        }
    }
}
