"""What callers have to stop using, since when, and until when it works (RFC 9745, RFC 8594)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

from pydantic import GetJsonSchemaHandler

# Members of an OpenAPI operation, parameter or schema, beside `deprecated`.
SINCE = "x-deprecated-since"
SUNSET = "x-sunset"
# A reference in a Link field (RFC 8288, RFC 3986).
_LINK = re.compile(r"(https?://|/)[!-;=?-~]*")


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Marks a route as a decorator of its function, or a field or parameter in `Annotated`.

    `since` and `sunset` are days, which begin at midnight UTC; from `sunset` on, the route or the
    field can be missing. `link` is the URL of a page for callers.
    """

    since: date
    sunset: date | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError naming the dates or the link."""
        if self.sunset is not None and self.sunset < self.since:
            raise ValueError(f"sunset: {self.sunset} is before the deprecation, {self.since}")
        if self.link is not None and not _LINK.fullmatch(self.link):
            raise ValueError(
                f"link: {self.link!r} must be a URL, or a path that starts with /, in ASCII and"
                " without spaces, < and >"
            )

    def __call__[F: Callable[..., Any]](self, endpoint: F) -> F:
        """Mark the function of a route: a decorator below the one of the router."""
        _marked[id(endpoint)] = (endpoint, self)
        return endpoint

    def __get_pydantic_json_schema__(
        self, schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The schema of a field that has this in its `Annotated`."""
        return {**handler(schema), **self.members}

    @property
    def members(self) -> dict[str, Any]:
        """What OpenAPI says about the part."""
        found: dict[str, Any] = {"deprecated": True, SINCE: self.since.isoformat()}
        if self.sunset is not None:
            found[SUNSET] = self.sunset.isoformat()
        return found

    @property
    def sentence(self) -> str:
        """The same for people, in Markdown."""
        until = f"; can be removed from {self.sunset} on" if self.sunset else ""
        more = f" See <{self.link}>." if self.link else ""
        return f"Deprecated since {self.since}{until}.{more}"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of each response of the route."""
        found = [(b"deprecation", f"@{int(_midnight(self.since).timestamp())}".encode())]
        if self.sunset is not None:
            text = format_datetime(_midnight(self.sunset), usegmt=True)
            found.append((b"sunset", text.encode()))
        if self.link is not None:
            relations = ["deprecation", *(["sunset"] if self.sunset else [])]
            found += [(b"link", f'<{self.link}>; rel="{one}"'.encode()) for one in relations]
        return found


# By the id of the function, which is kept so that no other one has its id.
_marked: dict[int, tuple[object, Deprecation]] = {}


def deprecated(*, since: date, sunset: date | None = None, link: str | None = None) -> Deprecation:
    """`@deprecated(since=...)` of a route, `Annotated[int, deprecated(since=...)]` of a field."""
    return Deprecation(since, sunset, link)


def deprecation_of(endpoint: object) -> Deprecation | None:
    """The mark of a route's function, or None."""
    found = _marked.get(id(endpoint))
    return found[1] if found else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
