"""ETag, If-Match and If-None-Match (RFC 9110, 8.8.3 and 13.1; RFC 6585 for 428).

An entity tag is the object's version in quotes. The route sets Cache-Control; without it, the
response has `no-store`.
"""

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from fastapi_base.core.errors import VersionMismatch, VersionRequired

# The client's private cache may store the response and must revalidate it each time.
REVALIDATED = "private, no-cache"
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# The largest value of PostgreSQL's integer; a greater number cannot be a version.
_LARGEST = 2**31 - 1


def etag(version: int) -> str:
    """The entity tag of this version."""
    return f'"{version}"'


async def _versions(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="The current `ETag`, several separated by commas, or `*` for any version.",
            examples=['"1"'],
        ),
    ] = None,
) -> frozenset[int] | None:
    if if_match is None or not if_match.strip():
        raise VersionRequired
    if if_match.strip() == "*":
        return None
    strong = [tag for weak, tag in _TAG.findall(if_match) if not weak]
    numbers = {int(tag) for tag in strong if tag.isascii() and tag.isdigit() and len(tag) < 11}
    found = frozenset(number for number in numbers if number <= _LARGEST)
    if not found:
        raise VersionMismatch("If-Match contains no valid ETag of this object")
    return found


# The versions that a change may be based on; None means any.
IfMatchDep = Annotated[frozenset[int] | None, Depends(_versions)]


class Freshness:
    """Answers 304 to a client that already has the current version."""

    def __init__(self, response: Response, known: str | None) -> None:
        self._response = response
        self._known = known

    def reply[T](self, version: int, body: T) -> T | Response:
        """`body` with its entity tag, or 304 without a body."""
        headers = {"ETag": etag(version), "Cache-Control": REVALIDATED}
        if self.has(etag(version)):
            return Response(status_code=304, headers=headers)
        self._response.headers.update(headers)
        return body

    def has(self, tag: str) -> bool:
        """Whether the client already has the representation with this entity tag."""
        known = self._known or ""
        return known.strip() == "*" or any(f'"{found}"' == tag for _, found in _TAG.findall(known))


async def _freshness(
    response: Response,
    if_none_match: Annotated[
        str | None,
        Header(
            alias="If-None-Match",
            description="The `ETag` of a cached response; the response is 304 when it is current.",
            examples=['"1"'],
        ),
    ] = None,
) -> Freshness:
    return Freshness(response, if_none_match)


FreshnessDep = Annotated[Freshness, Depends(_freshness)]

_ETAG = {"description": "The version of the object, for `If-Match`.", "schema": {"type": "string"}}


def tagged(status: int = 200, *, revalidated: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that sends an ETag, with 304 where it can be revalidated."""
    found: dict[int | str, dict[str, Any]] = {status: {"headers": {"ETag": _ETAG}}}
    if revalidated:
        found[304] = {"description": "The cached version is current"}
    return found
