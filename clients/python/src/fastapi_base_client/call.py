"""What a client sends: a request of one operation, and the type of its reply."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NotRequired, Self, TypedDict
from urllib.parse import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str | None] = field(default_factory=dict)
    json: Any = None
    form: Any = None
    content: bytes | None = None
    media_type: str | None = None
    #: The operation takes an Idempotency-Key; a client makes one if the caller gives none.
    once: bool = False
    #: Sent without credentials.
    public: bool = False


@dataclass(frozen=True, slots=True)
class Call[T](_Parts):
    """One request. Values that are None are not sent."""

    operation: str
    method: str
    path: str

    def with_headers(self, **headers: str) -> Self:
        """The same call with more header fields; underscores stand for dashes."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **given})


@dataclass(frozen=True, slots=True)
class PageCall[P, I](Call[P]):
    """A request for a page `P` of a list of `I`."""

    def after(self, cursor: str) -> Self:
        """The same request for the page at this cursor."""
        return replace(self, query={**self.query, "cursor": cursor})


class PageRead(TypedDict):
    """What every page of a list has."""

    items: list[Any]
    next: NotRequired[str | None]


def segment(value: str) -> str:
    """A value as one segment of a path, whatever it contains."""
    return quote(str(value), safe="")


def parameters(query: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The query as text: true and false in lower case, and each value of a list by itself."""
    found = []
    for name, value in query.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                found.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    return tuple(found)
