"""Errors of permissions, objects, versions and idempotency keys."""

from fastapi_base.core.errors.base import DomainError


class Forbidden(DomainError):
    """The caller is authenticated but not permitted to do this."""

    code = "forbidden"
    title = "The caller lacks the required permissions"


class InsufficientScope(DomainError):
    """The caller is authenticated but lacks the scope (RFC 6750, 3.1)."""

    code = "insufficient-scope"
    title = "The caller lacks the required scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"The scope {scope} is required")
        self.scope = scope


class SessionNeeded(DomainError):
    """A client with an API key called a route that requires a session."""

    code = "session-needed"
    title = "API keys cannot be used here; log in"


class CrossSiteRequest(DomainError):
    """A request with a session cookie that another site may have triggered."""

    code = "cross-site-request"
    title = "Requests with a session cookie must come from the same site and include the CSRF token"


class NotFound(DomainError):
    """The object does not exist or belongs to another account; both look the same to the caller."""

    code = "not-found"
    title = "The object does not exist"


class Conflict(DomainError):
    """The request conflicts with the current state."""

    code = "conflict"
    title = "The request conflicts with the current state"


class VersionMismatch(DomainError):
    """The object changed since the caller read it. `detail` names its current version."""

    code = "version-mismatch"
    title = "The object was modified since it was read; read it again"


class VersionRequired(DomainError):
    """A change without the version that it is based on."""

    code = "version-required"
    title = "If-Match with the current ETag is required"


class IdempotencyKeyInUse(Conflict):
    """The first request with this key is still in progress."""

    code = "idempotency-key-in-use"
    title = "A request with this idempotency key is in progress; try again shortly"
    retry_after = 1


class IdempotencyKeyReused(DomainError):
    """The key was used before with another method, path or body."""

    code = "idempotency-key-reused"
    title = "The idempotency key was used for a different request; use a new key"


class WrongFlagValue(DomainError):
    """The value has another type than the feature flag. `detail` names the flag's type."""

    code = "wrong-flag-value"
    title = "The value has the wrong type for the feature flag"
