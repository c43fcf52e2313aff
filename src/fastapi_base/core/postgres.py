"""How to open a connection to PostgreSQL: hosts, credentials and TLS.

asyncpg gets every option explicitly. By default, it reads certificates from ~/.postgresql and
cannot connect if the home directory is not readable.
"""

from typing import Any

import asyncpg
from sqlalchemy import URL

from fastapi_base.core.config.database import DatabaseSettings, TlsSettings
from fastapi_base.core.config.postgres_url import PostgresUrl
from fastapi_base.core.security.tls import database_tls


def sqlalchemy_url(url: PostgresUrl) -> URL:
    """The parts of the URL that SQLAlchemy needs. The hosts are among the driver's arguments."""
    return URL.create(
        "postgresql+asyncpg", username=url.user, password=url.password, database=url.database
    )


def driver_arguments(
    settings: DatabaseSettings, url: PostgresUrl, tls: TlsSettings | None = None
) -> dict[str, Any]:
    """The arguments of asyncpg.connect(), and those that SQLAlchemy's dialect accepts in addition.

    Without `tls`, only the system's certificate authorities are trusted. Raises OSError if
    certificates cannot be read.
    """
    arguments = {**url.arguments(), "ssl": database_tls(settings, tls) or False}
    if settings.ssl_mode == "prefer":
        arguments["async_creator_fn"] = _preferring_tls
    return arguments


async def _preferring_tls(**arguments: Any) -> Any:
    """Connect with TLS, or without it if the server does not support it: libpq's `prefer`."""
    try:
        return await asyncpg.connect(**arguments)
    except (TimeoutError, asyncpg.InvalidPasswordError):
        raise
    except (OSError, asyncpg.InvalidAuthorizationSpecificationError):
        return await asyncpg.connect(**{**arguments, "ssl": False})
