"""Every error as a problem document (RFC 9457): one table from domain error to status."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from fastapi_base.api.middleware.request_id import request_id_of
from fastapi_base.core import errors
from fastapi_base.schemas.problem import InvalidField, Problem

MEDIA_TYPE = "application/problem+json"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_SOON = {"Retry-After": "1"}

# A subclass counts as its nearest ancestor here.
STATUS: dict[type[errors.DomainError], int] = {
    errors.InvalidCredentials: 401,
    errors.NotAuthenticated: 401,
    errors.SecondFactorRequired: 401,
    errors.InvalidChallenge: 401,
    errors.WrongCode: 403,
    errors.InvalidPasskey: 401,
    errors.PasskeyRefused: 422,
    errors.NotFresh: 403,
    errors.OidcRefused: 401,
    errors.EmailNotVouchedFor: 403,
    errors.WrongPassword: 403,
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
    errors.Overloaded: 503,
    errors.Unavailable: 503,
}
_HEADERS: dict[type[errors.DomainError], Mapping[str, str]] = {
    errors.InvalidCredentials: _CHALLENGE,
    errors.NotAuthenticated: _CHALLENGE,
    errors.SecondFactorRequired: _CHALLENGE,
    errors.InvalidChallenge: _CHALLENGE,
    errors.InvalidPasskey: _CHALLENGE,
    errors.OidcRefused: _CHALLENGE,
    errors.Overloaded: _SOON,
    errors.Unavailable: {"Retry-After": "5"},
}


class ProblemResponse(JSONResponse):
    """A reply with a problem document."""

    media_type = MEDIA_TYPE


def type_uri(code: str) -> str:
    """The `type` member: a stable name of the kind of problem."""
    return f"urn:fastapi-base:{code}"


def status_of(error: type[errors.DomainError]) -> int:
    """The HTTP status of a domain error."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def domain_problem(request: Request, error: errors.DomainError) -> Response:
    """The reply to a failure that the domain foresees."""
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
    """The reply to what the framework refuses: no such route, method, too large, bad form."""
    phrase = HTTPStatus(error.status_code).phrase
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return _reply(
        request,
        status=error.status_code,
        code=phrase.lower().replace(" ", "-"),
        title=phrase,
        detail=str(error.detail or phrase),
        headers=headers,
    )


def _methods(request: Request) -> list[str]:
    """All methods of a path (RFC 9110, 15.5.6). The router names those of one route only."""
    path = request.scope["path"]
    return sorted(
        method
        for found in iter_route_contexts(request.app.routes)
        if found.path and compile_path(found.path)[0].match(path)
        for method in found.methods or ()
    )


def invalid_problem(request: Request, error: RequestValidationError) -> Response:
    """The reply to a request that does not fit its schema. It does not repeat what was sent."""
    fields = [
        InvalidField(location=list(item["loc"]), message=item["msg"], type=item["type"])
        for item in error.errors()
    ]
    return _reply(
        request,
        status=422,
        code="invalid-request",
        title="The request is not valid",
        detail=f"{len(fields)} part(s) of the request are wrong; see errors",
        extra={"errors": [field.model_dump() for field in fields]},
    )


def unexpected_problem(request: Request, error: Exception | None) -> Response:
    """The reply to an error that nobody foresaw. It names the error only when one is passed."""
    return _reply(
        request,
        status=500,
        code="internal-error",
        title="The service failed",
        detail=f"{type(error).__name__}: {error}"
        if error
        else "It was logged with this request id",
    )


def install(app: FastAPI) -> None:
    """Register the handlers."""

    # The types of add_exception_handler know only handlers of Exception.
    async def domain(request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.DomainError)
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
            "detail": detail,
            "instance": request.url.path,
            "request_id": request_id_of(request.scope),
        }
    )
    return ProblemResponse(
        problem.body(), status_code=status, headers=dict(headers) if headers else None
    )
