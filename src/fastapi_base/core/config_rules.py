"""What a setting must be like: URLs that can be used, and what production refuses."""

from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from fastapi_base.core.flags import parse_defaults
from fastapi_base.core.quotas import Quota, RouteQuota
from fastapi_base.core.signing import KeyFileError, read_private_key, read_public_keys

if TYPE_CHECKING:
    from fastapi_base.core.config import Settings

MINIMUM_SECRET_BYTES = 32
_EASY_PASSWORDS = frozenset({"", "postgres", "password", "admin", "changeme", "secret"})


def asyncpg_url(value: SecretStr) -> SecretStr:
    """The URL with the asyncpg driver in its scheme, which may be left out."""
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or scheme not in {"postgresql+asyncpg", "postgresql", "postgres"}:
        raise ValueError("must look like postgresql+asyncpg://user:password@host:5432/name")
    url = f"postgresql+asyncpg://{rest}"
    if len(urlsplit(url).path) < 2:
        raise ValueError("must end in the name of the database, as in ...@host:5432/name")
    return SecretStr(url)


def optional_asyncpg_url(value: SecretStr | None) -> SecretStr | None:
    """The same for a URL that need not be there."""
    return None if value is None else asyncpg_url(value)


def redis_url(value: SecretStr) -> SecretStr:
    """The URL, unchanged, when redis-py and Celery can both use it."""
    if not value.get_secret_value().startswith(("redis://", "rediss://")):
        raise ValueError("must look like redis://host:6379/0 (rediss:// for TLS)")
    return value


def broker_url(value: SecretStr | None) -> SecretStr | None:
    """The URL, unchanged, when it is RabbitMQ's; Redis is named by REDIS_URL."""
    if value is not None and not value.get_secret_value().startswith(("amqp://", "amqps://")):
        raise ValueError(
            "must look like amqp://user:password@host:5672/vhost (amqps:// for TLS), or be left "
            "out, when the broker is the Redis of REDIS_URL"
        )
    return value


def addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    """Each address, unchanged, when it has a host and a port."""
    for address in value:
        host, _, port = address.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError(f"{address!r} must look like sentinel-1.example.com:26379")
    return value


def issuer_url(value: str) -> str:
    """The issuer, unchanged, when it is one: https, or this machine (Discovery 1.0, 3)."""
    parts = urlsplit(value)
    local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
    if (
        not (parts.scheme == "https" or local)
        or not parts.hostname
        or parts.query
        or parts.fragment
    ):
        raise ValueError("issuer must look like https://login.example.com")
    return value


def quota(value: str) -> str:
    """The quota, unchanged, when it can be read."""
    Quota.parse(value)
    return value


def route_quotas(value: tuple[str, ...]) -> tuple[str, ...]:
    """The quotas of routes, unchanged, when all can be read."""
    for rule in value:
        RouteQuota.parse(rule)
    return value


def flag_defaults(value: tuple[str, ...]) -> tuple[str, ...]:
    """The defaults of feature flags, unchanged, when there are such flags and values."""
    parse_defaults(value)
    return value


def networks(value: tuple[str, ...]) -> tuple[str, ...]:
    """The networks, unchanged, when all are CIDR blocks or addresses."""
    for given in value:
        try:
            ip_network(given, strict=False)
        except ValueError:
            raise ValueError(f"{given!r} must look like 10.0.0.0/8 or 2001:db8::/32") from None
    return value


def proxies(value: tuple[str, ...]) -> tuple[str, ...]:
    """The proxies, unchanged, when all are addresses, CIDR blocks or *.

    uvicorn takes whatever it cannot read as the name of a socket, and trusts nobody.
    """
    for given in value:
        try:
            if given not in ("*", ""):
                ip_network(given)
        except ValueError as error:
            raise ValueError(f"{error}; it must look like 10.0.0.7 or 10.0.0.0/8") from None
    return value


def unsafe(settings: "Settings") -> list[str]:
    """A sentence for each combination that must not run; most of them count in production only."""
    found = []
    if settings.celery.task_soft_time_limit >= settings.celery.task_time_limit:
        found.append("CELERY_TASK_SOFT_TIME_LIMIT: must be below CELERY_TASK_TIME_LIMIT")
    if settings.database.statement_timeout >= settings.api.deadline:
        found.append(
            "DATABASE_STATEMENT_TIMEOUT: must be below API_DEADLINE, so that the database ends its"
            " work before the request is given up"
        )
    if settings.database.ssl_ca_file and not settings.database.ssl_mode.startswith("verify"):
        found.append(
            "DATABASE_SSL_CA_FILE: only DATABASE_SSL_MODE verify-ca and verify-full look at it"
        )
    if settings.redis.sentinels and settings.redis.url.get_secret_value().startswith("rediss:"):
        found.append("REDIS_SENTINELS: only work with a REDIS_URL of redis://, without TLS")
    if settings.celery.visibility_timeout <= settings.celery.task_time_limit:
        found.append(
            "CELERY_VISIBILITY_TIMEOUT: must be above CELERY_TASK_TIME_LIMIT, or Redis hands a"
            " running task to a second worker"
        )
    if len(settings.auth.jwt_secret.get_secret_value().encode()) < MINIMUM_SECRET_BYTES:
        found.append(
            f"AUTH_JWT_SECRET: must have at least {MINIMUM_SECRET_BYTES} bytes (RFC 7518, 3.2)"
        )
    found += _unusable_keys(settings)
    for secret in settings.auth.jwt_accepted_secrets:
        if len(secret.get_secret_value().encode()) < MINIMUM_SECRET_BYTES:
            found.append(
                f"AUTH_JWT_ACCEPTED_SECRETS: each must have at least {MINIMUM_SECRET_BYTES} bytes"
            )
    found += [
        f"{name}: must have at least {MINIMUM_SECRET_BYTES} bytes"
        for name, keys in _encryption_keys(settings)
        if any(len(key.encode()) < MINIMUM_SECRET_BYTES for key in keys)
    ]
    found += _unusable_mail(settings)
    found += _passkeys(settings)
    if settings.app.environment == "production":
        found += _unsafe_in_production(settings)
    return found


def _unusable_mail(settings: "Settings") -> list[str]:
    found = []
    mail = settings.mail
    if (mail.username is None) != (mail.password is None):
        found.append("MAIL_USERNAME, MAIL_PASSWORD: set both or neither")
    if settings.app.environment == "production":
        if settings.auth.require_verified_email and not mail.host:
            found.append("AUTH_REQUIRE_VERIFIED_EMAIL: needs MAIL_HOST, or nobody can confirm")
        if mail.folder:
            found.append("MAIL_FOLDER: production must not keep mails, since they hold tokens")
        if mail.host and mail.tls == "none":
            found.append("MAIL_TLS: production needs starttls or implicit: mails hold tokens")
        if mail.host and not mail.link_base.startswith("https://"):
            found.append("MAIL_LINK_BASE: production needs https://, since links hold tokens")
        if mail.host and mail.sender.endswith("@example.com"):
            found.append("MAIL_SENDER: production needs an address of its own")
    return found


def _unusable_keys(settings: "Settings") -> list[str]:
    auth = settings.auth
    found = []
    if auth.jwt_algorithm != "HS256" and auth.jwt_private_key_file is None:
        found.append(
            f"AUTH_JWT_PRIVATE_KEY_FILE: {auth.jwt_algorithm} needs one;"
            " `fastapi-base-migrate rotate-keys` makes keys"
        )
    elif auth.jwt_algorithm == "HS256" and auth.jwt_private_key_file is not None:
        found.append(
            "AUTH_JWT_PRIVATE_KEY_FILE: has no use with HS256; set AUTH_JWT_ALGORITHM to EdDSA,"
            " ES256 or RS256"
        )
    elif auth.jwt_private_key_file is not None:
        try:
            read_private_key(auth.jwt_private_key_file, auth.jwt_algorithm)
        except KeyFileError as error:
            found.append(f"AUTH_JWT_PRIVATE_KEY_FILE: {error}")
    if auth.jwt_accepted_keys_file is not None:
        try:
            read_public_keys(auth.jwt_accepted_keys_file)
        except KeyFileError as error:
            found.append(f"AUTH_JWT_ACCEPTED_KEYS_FILE: {error}")
    return found


def _unsafe_in_production(settings: "Settings") -> list[str]:
    found = []
    if settings.auth.jwt_secret.get_secret_value().startswith("development-only"):
        found.append(
            "AUTH_JWT_SECRET: production needs a secret of its own;"
            " `python -c 'import secrets; print(secrets.token_urlsafe(48))'` makes one"
        )
    if any(
        secret.get_secret_value().startswith("development-only")
        for secret in settings.auth.jwt_accepted_secrets
    ):
        found.append("AUTH_JWT_ACCEPTED_SECRETS: production must not accept the development key")
    found += [
        f"{name}: production needs keys of its own, and not those that sign tokens"
        for name, keys in _encryption_keys(settings)
        if any(
            key.startswith("development-only") or key == settings.auth.jwt_secret.get_secret_value()
            for key in keys
        )
    ]
    if settings.auth.bcrypt_rounds < 10:
        found.append("AUTH_BCRYPT_ROUNDS: production needs at least 10")
    if settings.app.debug:
        found.append("DEBUG: must be off in production, since it shows errors to callers")
    if settings.api.reload:
        found.append("API_RELOAD: must be off in production")
    if "*" in settings.api.cors_origins:
        found.append("API_CORS_ORIGINS: production needs the origins by name, not *")
    if "*" in settings.api.forwarded_allow_ips:
        found.append(
            "API_FORWARDED_ALLOW_IPS: production needs the proxies by address, not *, or any caller"
            " can claim any address"
        )
    if _password(settings.database.url) in _EASY_PASSWORDS:
        found.append("DATABASE_URL: production needs a database password that is not a default")
    admin = settings.first_admin.password
    if admin is not None and admin.get_secret_value().lower() in _EASY_PASSWORDS:
        found.append("FIRST_ADMIN_PASSWORD: production needs a password that is not a default")
    return found


def _passkeys(settings: "Settings") -> list[str]:
    rp_id, origins = settings.passkey.rp_id, settings.passkey.origins
    if rp_id is None:
        return []
    found = [] if origins else ["PASSKEY_ORIGINS: passkeys need the origins of their pages"]
    for origin in origins:
        parts = urlsplit(origin)
        host = parts.hostname or ""
        # What browsers ask for too: a secure context, on the domain or below it.
        secure = parts.scheme == "https" or host == "localhost"
        if not secure or (host != rp_id and not host.endswith(f".{rp_id}")):
            found.append(
                f"PASSKEY_ORIGINS: {origin} must be https:// and at or below PASSKEY_RP_ID, {rp_id}"
            )
    return found


def _encryption_keys(settings: "Settings") -> list[tuple[str, list[str]]]:
    auth = settings.auth
    return [
        ("AUTH_ENCRYPTION_KEY", [auth.encryption_key.get_secret_value()]),
        (
            "AUTH_ENCRYPTION_ACCEPTED_KEYS",
            [key.get_secret_value() for key in auth.encryption_accepted_keys],
        ),
    ]


def _password(url: SecretStr) -> str:
    return unquote(urlsplit(url.get_secret_value()).password or "").lower()
