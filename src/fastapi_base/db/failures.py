"""The database's errors in the words of the domain."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncpg.exceptions import InvalidCachedStatementError, PostgresError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fastapi_base.core import metrics
from fastapi_base.core.errors import (
    Conflict,
    DomainError,
    EmailTaken,
    InvalidCredentials,
    NotAuthenticated,  # slice: items
    Overloaded,
    Unavailable,
)
from fastapi_base.models.item import ITEM_OWNER  # slice: items
from fastapi_base.models.session import SESSION_USER
from fastapi_base.models.user import UNIQUE_EMAIL

NO_CONNECTION = metrics.counter(
    "db_pool_timeouts", "Requests that no connection of the pool was free for in time"
)

# The one table from constraint to error. Services insert and let the constraint judge: checking
# first would lose the race against a second request.
CONSTRAINTS: dict[str, type[DomainError]] = {
    UNIQUE_EMAIL: EmailTaken,
    # The account went away between the check of its token and the item.  # slice: items
    ITEM_OWNER: NotAuthenticated,  # slice: items
    # The account went away between the check of its password and the session.
    SESSION_USER: InvalidCredentials,
}

# SQLSTATE classes and codes that say "not now" (PostgreSQL manual, appendix A): connection
# exception, insufficient resources, operator intervention.
_NOT_NOW = ("08", "53", "57P")
# integrity_constraint_violation
_VIOLATION = "23"
_CANCELLED = "57014"
LOCK_NOT_AVAILABLE = "55P03"
# serialization_failure and deadlock_detected: this transaction lost, and may win the next time.
_LOST = {"40001", "40P01"}

# What a process that works on its own meets while the database is away; the next turn may do.
AWAY = (Unavailable, Overloaded, DBAPIError, OSError, TimeoutError)


def reason(error: BaseException) -> str:
    """One of AWAY in short, for a log."""
    return error.detail if isinstance(error, (Unavailable, Overloaded)) else type(error).__name__


# Of SQLAlchemy, or of the driver itself (utils/statements.py).
type Failure = DBAPIError | PostgresError


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn errors of driver and pool into domain errors; programming errors pass unchanged."""
    try:
        yield
    except PoolTimeout as error:
        NO_CONNECTION.child().inc()
        raise Overloaded("all database connections are in use") from error
    except (DBAPIError, PostgresError) as error:
        told = _told(error)
        if told is None:
            raise
        raise told from error
    except (OSError, TimeoutError) as error:
        # asyncpg lets a refused or slow connection through as it is.
        raise Unavailable("the database does not answer") from error


def _told(error: Failure) -> DomainError | None:
    if not_now(error):
        return Unavailable("the database does not answer")
    state = sqlstate(error)
    if state.startswith(_VIOLATION):
        return CONSTRAINTS.get(constraint_name(error) or "", Conflict)()
    if state in {_CANCELLED, LOCK_NOT_AVAILABLE}:
        return Overloaded("the database took too long")
    if may_win_next_time(error):
        return Overloaded("another transaction was in the way")
    return None


def not_now(error: Failure) -> bool:
    """Whether the server is down, full, or going down."""
    invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    return invalidated or sqlstate(error).startswith(_NOT_NOW)


def may_win_next_time(error: BaseException | None) -> bool:
    """Whether the same work, in a new transaction, has a good chance.

    So it is after a serialization failure, a deadlock, and when the tables changed under a prepared
    statement (a migration ran); those statements were dropped by then.
    """
    if not isinstance(error, DBAPIError | PostgresError):
        return False
    return isinstance(_driver(error), InvalidCachedStatementError) or sqlstate(error) in _LOST


def sqlstate(error: Failure) -> str:
    """The server's code for what went wrong, empty when it did not come from the server."""
    state = getattr(_driver(error), "sqlstate", None)
    return state if isinstance(state, str) else ""


def constraint_name(error: Failure) -> str | None:
    """The constraint that was violated, from the server's own report, never from the text."""
    name = getattr(_driver(error), "constraint_name", None)
    return name if isinstance(name, str) else None


def _driver(error: Failure) -> BaseException | None:
    """The error of asyncpg, which SQLAlchemy has wrapped twice."""
    found: BaseException | None = error
    if isinstance(error, DBAPIError):
        found = error.orig and error.orig.__cause__
    return found
