"""Every error as a problem document (RFC 9457): one table maps domain errors to statuses."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fastapi_base.api.middleware.request_id import request_id_of
from fastapi_base.core import errors
from fastapi_base.db.failures import UNAVAILABLE, unusable
from fastapi_base.schemas.problem import InvalidField, Problem

log = structlog.stdlib.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
# Bounds on reported validation errors: their number, the parts of each location, and the characters
# of each part and each message.
ERRORS_MAX = 50
PARTS_MAX = 20
PART_LENGTH = 100
MESSAGE_LENGTH = 300
DETAIL_LENGTH = 1000
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_SOON = {"Retry-After": "1"}

# A subclass uses the status of its nearest ancestor in this table.
STATUS: dict[type[errors.DomainError], int] = {
    errors.InvalidCredentials: 401,
    errors.NotAuthenticated: 401,
    errors.SecondFactorRequired: 401,
    errors.InvalidChallenge: 401,
    errors.WrongCode: 403,
    errors.InvalidPasskey: 401,  # slice: passkeys
    errors.PasskeyRefused: 422,  # slice: passkeys
    errors.NotFresh: 403,
    errors.OidcRefused: 401,  # slice: oidc
    errors.EmailNotVouchedFor: 403,  # slice: oidc
    errors.WrongPassword: 403,
    errors.PasswordNeeded: 403,
    errors.Forbidden: 403,
    errors.InvalidLink: 400,
    errors.EmailNotVerified: 403,
    errors.RegistrationClosed: 403,
    errors.InsufficientScope: 403,
    errors.SessionNeeded: 403,
    errors.CrossSiteRequest: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.LastSuperuser: 409,
    errors.TooManyKeys: 409,
    errors.VersionMismatch: 412,
    errors.VersionRequired: 428,
    errors.WeakPassword: 422,
    errors.WrongFlagValue: 422,
    errors.IdempotencyKeyReused: 422,
    errors.TooManyAttempts: 429,
    errors.RateLimited: 429,
    errors.TooManyAtOnce: 429,
    errors.Overloaded: 503,
    errors.Unavailable: 503,
}
_HEADERS: dict[type[errors.DomainError], Mapping[str, str]] = {
    errors.InvalidCredentials: _CHALLENGE,
    errors.NotAuthenticated: _CHALLENGE,
    errors.SecondFactorRequired: _CHALLENGE,
    errors.InvalidChallenge: _CHALLENGE,
    errors.InvalidPasskey: _CHALLENGE,  # slice: passkeys
    errors.OidcRefused: _CHALLENGE,  # slice: oidc
    errors.Overloaded: _SOON,
    errors.Unavailable: {"Retry-After": "5"},
}


class ProblemResponse(JSONResponse):
    """A response with a problem document."""

    media_type = MEDIA_TYPE


def type_uri(code: str) -> str:
    """The `type` member: a stable URI reference that identifies the kind of problem."""
    return f"urn:fastapi-base:{code}"


def status_of(error: type[errors.DomainError]) -> int:
    """The HTTP status of a domain error."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def domain_problem(request: Request, error: errors.DomainError) -> Response:
    """The response to a domain error."""
    headers = next((_HEADERS[kind] for kind in type(error).__mro__ if kind in _HEADERS), {})
    if error.retry_after is not None:
        headers = {**headers, "Retry-After": str(error.retry_after)}
    if isinstance(error, errors.InsufficientScope):
        challenge = f'Bearer error="insufficient_scope", scope="{error.scope}"'
        headers = {**headers, "WWW-Authenticate": challenge}
    return _reply(
        request,
        status=status_of(type(error)),
        code=error.code,
        title=error.title,
        detail=error.detail,
        headers=headers,
        extra=error.extra,
    )


def http_problem(request: Request, error: HTTPException) -> Response:
    """The response to an error of the framework: unknown route or method, too large, bad form."""
    phrase = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return _reply(
        request,
        status=error.status_code,
        code=phrase.lower().replace(" ", "-"),
        title=phrase,
        detail=_unreadable(error.__cause__) or str(error.detail or phrase),
        headers=headers,
    )


def _unreadable(cause: BaseException | None) -> str | None:
    """Why a body could not be parsed, where Python's parser knows and FastAPI omits it."""
    if isinstance(cause, RecursionError):
        return "The body nests too deeply"
    if isinstance(cause, UnicodeDecodeError):
        return f"The body is not valid UTF-8 at byte offset {cause.start}"
    # sys.get_int_max_str_digits
    if isinstance(cause, ValueError) and "digits" in str(cause):
        return "A number in the body has too many digits"
    return None


def _methods(request: Request) -> list[str]:
    """All methods of a path (RFC 9110, 15.5.6). The router reports those of one route only."""
    path = request.scope["path"]
    found = {
        method
        for found in iter_route_contexts(request.app.routes)
        # Mounted applications have no methods of their own.
        if found.methods and found.path_regex.match(path)
        for method in found.methods
    }
    # HeadMiddleware serves HEAD.
    return sorted(found | {"HEAD"} if "GET" in found else found)


def invalid_problem(request: Request, error: RequestValidationError) -> Response:
    """The response to a request that does not match its schema.

    Of the input it repeats only truncated member names, and its length is bounded.
    """
    found = error.errors()
    fields = [
        InvalidField(
            location=[_cut(part, PART_LENGTH) for part in item["loc"][:PARTS_MAX]],
            message=str(_cut(item["msg"], MESSAGE_LENGTH)),
            type=item["type"],
        )
        for item in found[:ERRORS_MAX]
    ]
    extra: dict[str, Any] = {"errors": [field.model_dump() for field in fields]}
    if left_out := len(found) - len(fields):
        extra["errors_left_out"] = left_out
    return _reply(
        request,
        status=422,
        code="invalid-request",
        title="The request is invalid",
        detail=f"{len(found)} part(s) of the request are invalid; see errors"
        + (f", which lists the first {len(fields)}" if left_out else ""),
        extra=extra,
    )


def _cut(part: str | int, length: int) -> str | int:
    """The part as text that a response can contain, with an ellipsis if it was truncated."""
    if isinstance(part, int):
        return part
    text = part if len(part) <= length else f"{part[:length]}\u2026"
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def unexpected_problem(request: Request, error: Exception | None) -> Response:
    """The response to an unexpected error. It names the error only if one is passed."""
    return _reply(
        request,
        status=500,
        code="internal-error",
        title="Internal error",
        detail=f"{type(error).__name__}: {error}"
        if error
        else "The error was logged with this request id",
    )


def install(app: FastAPI) -> None:
    """Register the exception handlers."""

    # The types of add_exception_handler accept only handlers of Exception.
    async def domain(request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.DomainError)
        if error.__cause__ is not None and isinstance(error, UNAVAILABLE):
            # This program may have caused the state of the connection; the traceback shows where.
            trace = error if unusable(error.__cause__) else None
            log.warning(error.detail, error=errors.cause(error), exc_info=trace)
        return domain_problem(request, error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return http_problem(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid_problem(request, error)

    app.add_exception_handler(errors.DomainError, domain)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _reply(
    request: Request,
    *,
    status: int,
    code: str,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    problem = Problem.model_validate(
        {
            **(extra or {}),
            "type": type_uri(code),
            "title": title,
            "status": status,
            # The message may quote client input.
            "detail": _cut(detail, DETAIL_LENGTH),
            "instance": request.url.path,
            "request_id": request_id_of(request.scope),
        }
    )
    return ProblemResponse(
        problem.body(), status_code=status, headers=dict(headers) if headers else None
    )
