"""TLS to PostgreSQL, as DATABASE_SSL_MODE says (the names are libpq's)."""

import ssl

from fastapi_base.core.config import DatabaseSettings


def database_tls(settings: DatabaseSettings) -> ssl.SSLContext | str:
    """What asyncpg takes as `ssl`. Raises OSError when the file of certificates cannot be read."""
    if settings.ssl_mode in {"prefer", "disable"}:
        return settings.ssl_mode
    context = ssl.create_default_context(cafile=settings.ssl_ca_file)
    context.check_hostname = settings.ssl_mode == "verify-full"
    if settings.ssl_mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context
