"""Translates database errors into domain errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from types import TracebackType

from asyncpg.exceptions import (
    InterfaceError,
    InternalClientError,
    InvalidCachedStatementError,
    PostgresError,
    TargetServerAttributeNotMatched,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fastapi_base.core.errors import (
    Conflict,
    DomainError,
    EmailTaken,
    InvalidCredentials,
    NotAuthenticated,
    Overloaded,
    Unavailable,
    cause,
)
from fastapi_base.core.observability import metrics, reporting
from fastapi_base.models import metadata
from fastapi_base.models.base import CONFLICT
from fastapi_base.models.identity.email_change import ONE_CHANGE  # slice: email-change

# begin slice: oidc
from fastapi_base.models.identity.external_identity import UNIQUE_ISSUER, UNIQUE_SUBJECT

# end slice: oidc
from fastapi_base.models.identity.invitation import OPEN_INVITATION
from fastapi_base.models.identity.passkey import UNIQUE_CREDENTIAL  # slice: passkeys
from fastapi_base.models.identity.session import SESSION_USER
from fastapi_base.models.identity.user import UNIQUE_EMAIL

NO_CONNECTION = metrics.counter(
    "db_pool_timeouts", "Requests that timed out waiting for a connection"
)

# The only mapping of constraints to domain errors. Services insert and rely on the constraint: a
# check beforehand would lose the race against a concurrent request. A constraint of a model may
# instead carry the detail of its Conflict: `info={CONFLICT: "Another order has this number"}`. A
# violation of any other constraint is a bug.
CONSTRAINTS: dict[str, type[DomainError]] = {
    UNIQUE_EMAIL: EmailTaken,
    UNIQUE_CREDENTIAL: Conflict,  # slice: passkeys
    UNIQUE_SUBJECT: Conflict,  # slice: oidc
    UNIQUE_ISSUER: Conflict,  # slice: oidc
    # Two concurrent requests, and the other one committed first.
    ONE_CHANGE: Conflict,  # slice: email-change
    OPEN_INVITATION: Conflict,
    # The account was deleted between the check of its password and the insert of the session.
    SESSION_USER: InvalidCredentials,
}
# An account or a session may also be deleted between the check of its token and the insert of a row
# that references it.
_OWNERS = ("users", "sessions")

# SQLSTATE classes and codes of temporary conditions (PostgreSQL manual, appendix A): connection
# exception, insufficient resources, operator intervention.
_TEMPORARY = ("08", "53", "57P")
_UNIQUE_VIOLATION = "23505"
_FOREIGN_KEY_VIOLATION = "23503"
# connection_does_not_exist, connection_failure; admin_shutdown, crash_shutdown
_LOST_CONNECTION = ("08003", "08006", "57P01", "57P02")
_CANCELLED = "57014"
LOCK_NOT_AVAILABLE = "55P03"
_DRIVER = "asyncpg"
# serialization_failure and deadlock_detected: this transaction failed and may succeed when retried.
_LOST = {"40001", "40P01"}

# Errors that a background process gets while the database is unavailable; the next attempt may
# succeed.
UNAVAILABLE = (Unavailable, Overloaded)


def reason(error: Unavailable | Overloaded) -> str:
    """A short description of an UNAVAILABLE error with its cause, for a log."""
    return f"{error.detail} ({cause(error)})" if error.__cause__ else error.detail


# From SQLAlchemy, or from the driver itself (utils/statements.py).
_FAILURES = (DBAPIError, PostgresError, InterfaceError, InternalClientError)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Translate errors of the driver and the pool into domain errors; others pass unchanged.

    An OSError or TimeoutError counts only if it was raised in the driver, not by other code in the
    block. The code that handles the domain error logs its cause. If two tasks of this program used
    the connection concurrently, that is reported here, because the domain error looks like an
    outage.
    """
    try:
        yield
    except PoolTimeout as error:
        NO_CONNECTION.child().inc()
        raise Overloaded("all database connections are in use") from error
    except (*_FAILURES, OSError, TimeoutError) as error:
        translation = _translation(error)
        if translation is None:
            raise
        if _shared(error):
            reporting.capture(error)
        raise translation from error


def _translation(error: Exception) -> DomainError | None:
    if is_temporary(error):
        return Unavailable("the database does not answer")
    if not isinstance(error, _FAILURES):
        return None
    state = sqlstate(error)
    if state in {_UNIQUE_VIOLATION, _FOREIGN_KEY_VIOLATION}:
        return _violated(constraint_name(error) or "", state)
    if state in {_CANCELLED, LOCK_NOT_AVAILABLE}:
        return Overloaded("the database took too long")
    if may_win_next_time(error):
        return Overloaded("another transaction caused a conflict")
    return None


def _violated(name: str, state: str) -> DomainError | None:
    if kind := CONSTRAINTS.get(name):
        return kind()
    if detail := _conflicts().get(name):
        return Conflict(detail)
    if state == _FOREIGN_KEY_VIOLATION and name in _owners():
        return NotAuthenticated()
    return None


@cache
def _conflicts() -> dict[str, str]:
    """The details of the conflicts that models declare, by constraint."""
    return {
        str(constraint.name): constraint.info[CONFLICT]
        for table in metadata.tables.values()
        for constraint in table.constraints
        if CONFLICT in constraint.info
    }


@cache
def _owners() -> frozenset[str]:
    """The foreign keys that reference the owner of a row."""
    return frozenset(
        str(key.name)
        for table in metadata.tables.values()
        for key in table.foreign_key_constraints
        if key.referred_table.name in _OWNERS
    )


def is_failure(error: BaseException) -> bool:
    """Whether the error comes from the database or its driver, whatever its cause."""
    if isinstance(error, (OSError, TimeoutError)):
        return _of_driver(error.__traceback__)
    return isinstance(error, (*_FAILURES, PoolTimeout))


def is_temporary(error: Exception) -> bool:
    """Whether the server is down, overloaded or shutting down, or this connection is unusable."""
    if not is_failure(error):
        return False
    if isinstance(error, (OSError, TimeoutError)):
        return True
    invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    return invalidated or unusable(error) or sqlstate(error).startswith(_TEMPORARY)


def unusable(error: BaseException) -> bool:
    """Whether the connection must be discarded because the driver no longer knows its state.

    This happens if the server closed it during an operation, or if two tasks used it concurrently.
    """
    driver = _driver(error)
    if isinstance(driver, InternalClientError):
        return not isinstance(driver, TargetServerAttributeNotMatched)
    # The exact type: its subclasses mean that the call was wrong.
    return type(driver) is InterfaceError


def _shared(error: BaseException) -> bool:
    """Whether two tasks used the connection concurrently, which is a bug of this program.

    asyncpg raises the same type for a connection that the server closed: only the text differs.
    """
    return unusable(error) and "another operation is in progress" in str(_driver(error))


def connection_lost(error: BaseException) -> bool:
    """Whether an established connection failed; the operation may succeed on another one."""
    return unusable(error) or sqlstate(error).startswith(_LOST_CONNECTION)


def _of_driver(trace: TracebackType | None) -> bool:
    """Whether the error was raised in asyncpg or below: by a socket, or by one of its timeouts."""
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == _DRIVER:
            return True
        trace = trace.tb_next
    return False


def may_win_next_time(error: BaseException | None) -> bool:
    """Whether retrying the same work in a new transaction is likely to succeed.

    True for serialization failures, for deadlocks, and if a migration changed the tables of a
    prepared statement, which has been discarded by then.
    """
    if not isinstance(error, _FAILURES):
        return False
    return isinstance(_driver(error), InvalidCachedStatementError) or sqlstate(error) in _LOST


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of the error, or an empty string if it did not come from the server."""
    state = getattr(_driver(error), "sqlstate", None)
    return state if isinstance(state, str) else ""


def constraint_name(error: BaseException) -> str | None:
    """The violated constraint as reported by the server, never parsed from the message."""
    name = getattr(_driver(error), "constraint_name", None)
    return name if isinstance(name, str) else None


def _driver(error: BaseException) -> BaseException | None:
    """asyncpg's error, which SQLAlchemy has wrapped twice."""
    if isinstance(error, DBAPIError):
        return error.orig and error.orig.__cause__
    return error
