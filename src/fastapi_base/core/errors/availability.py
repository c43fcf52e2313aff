"""Errors of limits, overload and missing services."""

from fastapi_base.core.errors.base import DomainError


class Overloaded(DomainError):
    """A bounded queue is full. The work was not started and can be retried."""

    code = "overloaded"
    title = "The service is overloaded; try again shortly"


class DeadlineExceeded(Overloaded):
    """The response took longer than API_DEADLINE. The work was rolled back."""

    code = "deadline-exceeded"
    title = "The request exceeded its deadline"


class RateLimited(DomainError):
    """A rate limit is exceeded; the next request is accepted after `retry_after` seconds."""

    code = "rate-limited"
    title = "The rate limit is exceeded; slow down"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"Try again in {retry_after} s")
        self.retry_after = retry_after


class TooManyAtOnce(DomainError):
    """The caller exceeds a limit on concurrency. `detail` names what is limited."""

    code = "too-many-at-once"
    title = "Too many concurrent operations; wait for one to finish"
    retry_after = 1


class TooManyAttempts(DomainError):
    """Too many failed attempts; the next one is accepted after `retry_after` seconds."""

    code = "too-many-attempts"
    title = "Too many failed attempts; wait before the next one"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"Try again in {retry_after} s")
        self.retry_after = retry_after


class Unavailable(DomainError):
    """PostgreSQL, Redis or the broker does not respond."""

    code = "unavailable"
    title = "A required service does not respond"


class ReadOnly(Unavailable):
    """The feature flag read-only is on."""

    code = "read-only"
    title = "The service is in read-only mode"


class MailDisabled(Unavailable):
    """The request requires mail, and no mail server is configured."""

    code = "mail-disabled"
    title = "Mail is disabled; the operator must set MAIL_HOST"


class NotReady(Unavailable):
    """The readiness check failed."""

    code = "not-ready"
    title = "The service is not ready"


class TakesNoWrites(Unavailable):
    """The database server is a standby or in read-only mode."""

    code = "database-read-only"
    title = "The database takes no writes"


class NotMigrated(Unavailable):
    """The migrations have not run: the database has no tables."""

    code = "database-not-migrated"
    title = "The migrations have not run"
