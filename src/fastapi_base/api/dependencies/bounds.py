"""Rejects requests that contain unstorable text or exceed structural bounds.

Client text ends up in PostgreSQL text and JSONB columns, in Redis and in mails. None of them can
store everything that JSON and percent-encoding can express: U+0000, unpaired surrogates, non-finite
numbers. A schema that misses one of these would cause a 500. Therefore this module rejects them
once, for all routes and in every part of a request. It also rejects bodies with more values than
any route accepts, because validating them takes longer than parsing them.
"""

import math
from collections.abc import Callable
from typing import Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from starlette.exceptions import HTTPException

from fastapi_base.schemas.text import unstorable

# Members and elements of a JSON body, over all levels.
VALUES_MAX = 20_000
DEPTH_MAX = 64
_JSON = "application/json"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

_COMPARING: set[Callable[..., Any]] = set()

# A location in a body: the name or index of a part, and the location of its parent.
type _Place = tuple[str | int, _Place] | None


def compares_only[F: Callable[..., Any]](endpoint: F) -> F:
    """Mark a route whose form is compared and never stored: unstorable text just does not match."""
    _COMPARING.add(endpoint)
    return endpoint


async def _within_bounds(request: Request) -> None:
    """Raise RequestValidationError for the first invalid location."""
    scope = request.scope
    if (wrong := unstorable(scope["path"])) is not None:
        raise _refusal(("path",), wrong)
    if b"%00" in scope["query_string"]:
        _check_fields("query", request.query_params.multi_items())
    for name, value in scope["headers"]:
        if b"\0" in value:
            raise _refusal(("header", name.decode("latin-1")), "U+0000 (NULL) is not allowed")
        # A quoted cookie can escape characters that a header cannot contain.
        if b"\\" in value and name == b"cookie":
            _check_fields("cookie", list(request.cookies.items()))
    # The body field of the route itself; here, included dependencies have no bodies.
    route = scope.get("route")
    body = getattr(route, "body_field", None)
    if body is None:
        return
    # FastAPI has read the body or form before it calls dependencies; neither is read again.
    is_form = isinstance(body.field_info, Form)
    if not _readable(request.headers.get("content-type", ""), is_form=is_form):
        # FastAPI would treat the content as text and report that text is not an object.
        if await request.body():
            taken = " or ".join(_FORMS) if is_form else _JSON
            raise HTTPException(415, f"Content-Type must be {taken}")
    elif getattr(route, "endpoint", None) in _COMPARING:
        return
    elif is_form:
        fields = (await request.form()).multi_items()
        _check_fields("body", [(name, text) for name, text in fields if isinstance(text, str)])
    elif await request.body():
        try:
            received = await request.json()
        except (ValueError, RecursionError):
            # The body is not JSON: the route reports it.
            return
        _check_json(received)


def _readable(media_type: str, *, is_form: bool) -> bool:
    """Whether FastAPI parses this media type for such a route."""
    named = media_type.partition(";")[0].strip().lower()
    if is_form:
        return named in _FORMS
    return named == _JSON or (named.startswith("application/") and named.endswith("+json"))


# For all routes that accept client input.
WithinBounds = Depends(_within_bounds)


def _check_fields(kind: str, fields: list[tuple[str, str]]) -> None:
    for name, text in fields:
        if (wrong := unstorable(name) or unstorable(text)) is not None:
            raise _refusal((kind, name), wrong)


def _check_json(received: Any) -> None:
    """Walk a document without recursion; build locations only for invalid values."""
    left: list[tuple[Any, int, _Place]] = [(received, 0, ("body", None))]
    values = 0
    while left:
        value, depth, place = left.pop()
        if isinstance(value, str):
            if (wrong := unstorable(value)) is not None:
                raise _refusal(_location(place), wrong)
        elif isinstance(value, dict | list):
            values += len(value)
            if values > VALUES_MAX:
                raise _refusal(("body",), f"must hold at most {VALUES_MAX} values")
            if depth == DEPTH_MAX:
                raise _refusal(("body",), f"must nest at most {DEPTH_MAX} levels deep")
            if isinstance(value, list):
                left += [(part, depth + 1, (at, place)) for at, part in enumerate(value)]
                continue
            for name, part in value.items():
                if (wrong := unstorable(name)) is not None:
                    raise _refusal(_location((name, place)), f"in the member's name: {wrong}")
                left.append((part, depth + 1, (name, place)))
        elif isinstance(value, float) and not math.isfinite(value):
            raise _refusal(_location(place), "must be a finite number (RFC 8259, 6)")


def _location(place: _Place) -> tuple[str | int, ...]:
    found: list[str | int] = []
    while place is not None:
        found.append(place[0])
        place = place[1]
    return tuple(reversed(found))


def _refusal(location: tuple[str | int, ...], message: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": "value_error", "loc": location, "msg": message, "input": None}]
    )
