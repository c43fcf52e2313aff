"""ETag, If-Match and If-None-Match (RFC 9110, 8.8.3 and 13.1; RFC 6585 for 428).

An entity tag here is the object's version in quotes. What it may be cached for is the route's to
say, by Cache-Control; without that, the reply has `no-store`.
"""

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from fastapi_base.core.errors import VersionMismatch, VersionRequired

# May be kept by the caller's own cache, which asks each time whether it is still good.
REVALIDATED = "private, no-cache"
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# The largest value of PostgreSQL's integer; a greater number is no version of anything.
_LARGEST = 2**31 - 1


def etag(version: int) -> str:
    """The entity tag of this version."""
    return f'"{version}"'


async def _versions(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="`ETag` of what the change is based on, several separated by commas, or"
            " `*` for whatever is stored.",
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
        raise VersionMismatch("If-Match names no version of this object")
    return found


# The versions that a change may be based on; None is any.
IfMatchDep = Annotated[frozenset[int] | None, Depends(_versions)]


class Freshness:
    """Answers 304 to a caller who has the current version already."""

    def __init__(self, response: Response, known: str | None) -> None:
        self._response = response
        self._known = known

    def reply[T](self, version: int, body: T) -> T | Response:
        """`body` with its tag, or 304 without a body."""
        headers = {"ETag": etag(version), "Cache-Control": REVALIDATED}
        if self.has(etag(version)):
            return Response(status_code=304, headers=headers)
        self._response.headers.update(headers)
        return body

    def has(self, tag: str) -> bool:
        """Whether the caller has what this tag stands for."""
        known = self._known or ""
        return known.strip() == "*" or any(f'"{found}"' == tag for _, found in _TAG.findall(known))


async def _freshness(
    response: Response,
    if_none_match: Annotated[
        str | None,
        Header(
            alias="If-None-Match",
            description="`ETag` of what the caller has; answered 304 when it is current.",
            examples=['"1"'],
        ),
    ] = None,
) -> Freshness:
    return Freshness(response, if_none_match)


FreshnessDep = Annotated[Freshness, Depends(_freshness)]

_ETAG = {"description": "The version, to send back in `If-Match`.", "schema": {"type": "string"}}


def tagged(status: int = 200, *, revalidated: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route whose reply has an ETag, and 304 where it can be revalidated."""
    found: dict[int | str, dict[str, Any]] = {status: {"headers": {"ETag": _ETAG}}}
    if revalidated:
        found[304] = {"description": "The caller has the current version"}
    return found
