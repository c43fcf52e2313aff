"""TLS for outgoing connections: which certificates clients trust.

Clients trust TLS_CA_FILE in addition to the system's authorities, unless they have a CA file of
their own. Certificates and host names are always verified, with two exceptions: TLS_VERIFY=none for
Redis and brokers, and DATABASE_SSL_MODE for PostgreSQL (with libpq's modes).
"""

import os
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from fastapi_base.core.config.database import DatabaseSettings, TlsSettings


def client_context(settings: TlsSettings | None, own_file: Path | None = None) -> ssl.SSLContext:
    """A context that verifies certificates and host names. Raises OSError for unreadable CA files.

    `own_file` replaces all other authorities.
    """
    context = ssl.create_default_context(cafile=own_file)
    if settings and settings.ca_file and not own_file:
        context.load_verify_locations(settings.ca_file)
    return context


def authorities(settings: TlsSettings) -> str | None:
    """The path of a bundle of all trusted authorities, or None for the default of the library.

    For libraries that accept a path but no context.
    """
    return None if settings.ca_file is None else _bundle(settings.ca_file)


def redis_tls(settings: TlsSettings) -> dict[str, Any]:
    """The TLS options of redis-py and Kombu's Redis transport, for rediss:// URLs."""
    checked = settings.verify == "full"
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED if checked else ssl.CERT_NONE,
        "ssl_check_hostname": checked,
        "ssl_ca_certs": str(settings.ca_file) if settings.ca_file else None,
    }


def rabbitmq_tls(settings: TlsSettings, host: str) -> dict[str, Any]:
    """The TLS options of Kombu's AMQP transport, for amqps:// URLs."""
    if settings.verify == "none":
        return {"cert_reqs": ssl.CERT_NONE}
    # Without the host name, py-amqp accepts the certificate of any server.
    return {
        "cert_reqs": ssl.CERT_REQUIRED,
        "ca_certs": authorities(settings),
        "server_hostname": host,
    }


def database_tls(settings: DatabaseSettings, tls: TlsSettings | None) -> ssl.SSLContext | None:
    """asyncpg's TLS context; None for `disable`. Raises OSError like client_context()."""
    if settings.ssl_mode == "disable":
        return None
    if not settings.ssl_mode.startswith("verify"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = client_context(tls, settings.ssl_ca_file)
    context.check_hostname = settings.ssl_mode == "verify-full"
    return context


@cache
def _bundle(ca_file: Path) -> str:
    known = ssl.create_default_context().get_ca_certs(binary_form=True)
    text = "".join(map(ssl.DER_cert_to_PEM_cert, known)) + ca_file.read_text()
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as kept:
            kept.write(text)
        return kept.name
    # In memory: available to this process and its forks, and freed with the last of them.
    descriptor = os.memfd_create("authorities")
    with open(descriptor, "w", closefd=False) as file:
        file.write(text)
    return f"/proc/self/fd/{descriptor}"
