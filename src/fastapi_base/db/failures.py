"""The database's errors in the words of the domain."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncpg.exceptions import InvalidCachedStatementError
from sqlalchemy.exc import DBAPIError, IntegrityError
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
_CANCELLED = "57014"
LOCK_NOT_AVAILABLE = "55P03"
# serialization_failure and deadlock_detected: this transaction lost, and may win the next time.
_LOST = {"40001", "40P01"}


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn errors of driver and pool into domain errors; programming errors pass unchanged."""
    try:
        yield
    except PoolTimeout as error:
        NO_CONNECTION.child().inc()
        raise Overloaded("all database connections are in use") from error
    except IntegrityError as error:
        name = constraint_name(error)
        raise CONSTRAINTS.get(name or "", Conflict)() from error
    except DBAPIError as error:
        if not_now(error):
            raise Unavailable("the database does not answer") from error
        if sqlstate(error) in {_CANCELLED, LOCK_NOT_AVAILABLE}:
            raise Overloaded("the database took too long") from error
        if may_win_next_time(error):
            raise Overloaded("another transaction was in the way") from error
        raise
    except (OSError, TimeoutError) as error:
        # asyncpg lets a refused or slow connection through as it is.
        raise Unavailable("the database does not answer") from error


def not_now(error: DBAPIError) -> bool:
    """Whether the server is down, full, or going down."""
    return error.connection_invalidated or sqlstate(error).startswith(_NOT_NOW)


def may_win_next_time(error: BaseException | None) -> bool:
    """Whether the same work, in a new transaction, has a good chance.

    So it is after a serialization failure, a deadlock, and when the tables changed under a prepared
    statement (a migration ran); SQLAlchemy has dropped those statements by then.
    """
    if not isinstance(error, DBAPIError):
        return False
    stale = isinstance(error.orig and error.orig.__cause__, InvalidCachedStatementError)
    return stale or sqlstate(error) in _LOST


def sqlstate(error: DBAPIError) -> str:
    """The server's code for what went wrong, empty when it did not come from the server."""
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else ""


def constraint_name(error: IntegrityError) -> str | None:
    """The constraint that was violated, from the server's own report, never from the text."""
    cause = error.orig.__cause__ if error.orig else None
    name = getattr(cause, "constraint_name", None)
    return name if isinstance(name, str) else None
