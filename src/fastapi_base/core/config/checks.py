"""Rules across settings: invalid combinations, and values that production rejects."""

import ssl
from collections.abc import Iterator
from ipaddress import IPv6Network, collapse_addresses, ip_network
from pathlib import Path

from fastapi_base.core import emails
from fastapi_base.core.config.base import Settings
from fastapi_base.core.config.oidc import unsafe_providers  # slice: oidc
from fastapi_base.core.config.passkeys import unusable_passkeys  # slice: passkeys
from fastapi_base.core.config.urls import is_loopback
from fastapi_base.core.security.signing import KeyFileError, read_private_key, read_public_keys

MINIMUM_SECRET_BYTES = 32
_MAKE_KEY = "`python -c 'import secrets; print(secrets.token_urlsafe(48))'`"
# IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2), and global unicast addresses (2.4).
_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")
_EVERYBODY = (_IPV4_MAPPED, IPv6Network("2000::/3"))
_EASY_PASSWORDS = frozenset({"", "postgres", "password", "admin", "changeme", "secret"})


def unsafe(settings: Settings) -> list[str]:
    """A sentence for each unsafe combination; most rules apply only in production."""
    found = []
    if settings.celery.task_soft_time_limit >= settings.celery.task_time_limit:
        found.append("CELERY_TASK_SOFT_TIME_LIMIT: must be below CELERY_TASK_TIME_LIMIT")
    if settings.database.statement_timeout >= settings.api.deadline:
        found.append(
            "DATABASE_STATEMENT_TIMEOUT: must be below API_DEADLINE, so that the database stops"
            " before the request is cancelled"
        )
    if settings.api.pending_body_bytes < settings.api.max_body_bytes:
        found.append(
            "API_PENDING_BODY_BYTES: must be at least API_MAX_BODY_BYTES; otherwise a body of"
            " that size cannot be received"
        )
    if settings.database.ssl_ca_file and not settings.database.ssl_mode.startswith("verify"):
        found.append("DATABASE_SSL_CA_FILE: requires DATABASE_SSL_MODE=verify-ca or verify-full")
    found += _unreadable_authorities(settings)
    if settings.celery.visibility_timeout <= settings.celery.task_time_limit:
        found.append(
            "CELERY_VISIBILITY_TIMEOUT: must be above CELERY_TASK_TIME_LIMIT; otherwise Redis"
            " delivers a running task to a second worker"
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
    found += _unusable_addresses(settings)
    found += _unusable_mail(settings)
    found += unusable_passkeys(settings.passkey)  # slice: passkeys
    if settings.app.environment != "production" and not is_loopback(settings.api.host):
        found += public_keys(settings, f"API_HOST={settings.api.host}")
    if settings.app.environment == "production":
        found += _unsafe_in_production(settings)
    return found


def _unusable_addresses(settings: Settings) -> list[str]:
    given = {"FIRST_ADMIN_EMAIL": settings.first_admin.email, "MAIL_SENDER": settings.mail.sender}
    allowed = settings.auth.email_allow_special_domains
    found = []
    for name, address in given.items():
        wrong = address and _wrong_address(address, special_domains=allowed)
        if address and wrong:
            taken = _wrong_address(address, special_domains=True) is None
            cure = " AUTH_EMAIL_ALLOW_SPECIAL_DOMAINS=true accepts it." if taken else ""
            found.append(f"{name}: must be an e-mail address. {wrong}{cure}")
    return found


def _wrong_address(address: str, *, special_domains: bool) -> str | None:
    try:
        emails.normal(address, special_domains=special_domains)
    except ValueError as error:
        return str(error)
    return None


def development_keys(settings: Settings) -> list[str]:
    """The variables that hold the public development keys of the source code."""
    return [
        name
        for name, keys in _keys(settings)
        if any(key.startswith("development-only") for key in keys)
    ]


def public_keys(settings: Settings, where: str) -> list[str]:
    """A sentence when development keys would protect a service that other machines can reach."""
    names = ", ".join(development_keys(settings))
    return (
        [
            f"{names}: development keys are public, and {where} is reachable from other machines;"
            f" set your own keys ({_MAKE_KEY} generates one), or listen on 127.0.0.1"
        ]
        if names
        else []
    )


def _unreadable_authorities(settings: Settings) -> Iterator[str]:
    files: tuple[tuple[str, Path | None], ...] = (
        ("TLS_CA_FILE", settings.tls.ca_file),
        ("DATABASE_SSL_CA_FILE", settings.database.ssl_ca_file),
        ("MAIL_CA_FILE", settings.mail.ca_file),
    )
    for name, file in files:
        try:
            if file is not None:
                ssl.create_default_context(cafile=file)
        except ssl.SSLError:
            yield f"{name}: contains no PEM certificates"
        except OSError as error:
            yield f"{name}: cannot be read ({error.strerror})"


def _unusable_mail(settings: Settings) -> list[str]:
    found = []
    mail = settings.mail
    if (mail.username is None) != (mail.password is None):
        found.append("MAIL_USERNAME, MAIL_PASSWORD: set both or neither")
    if settings.app.environment == "production":
        if settings.auth.require_verified_email and not mail.host:
            found.append(
                "AUTH_REQUIRE_VERIFIED_EMAIL: requires MAIL_HOST to send verification links"
            )
        if mail.folder:
            found.append("MAIL_FOLDER: must be empty in production, because mails contain tokens")
        if mail.host and mail.tls == "none":
            found.append(
                "MAIL_TLS: production requires starttls or implicit, because mails contain tokens"
            )
        if mail.host and not mail.link_base.startswith("https:"):
            found.append(
                "MAIL_LINK_BASE: production requires https://, because links contain tokens"
            )
        if mail.host and mail.sender.endswith("@example.com"):
            found.append("MAIL_SENDER: production requires your own address")
    return found


def _unusable_keys(settings: Settings) -> list[str]:
    auth = settings.auth
    found = []
    if auth.jwt_algorithm != "HS256" and auth.jwt_private_key_file is None:
        found.append(
            f"AUTH_JWT_PRIVATE_KEY_FILE: required by {auth.jwt_algorithm};"
            " `fastapi-base-migrate rotate-keys` generates keys"
        )
    elif auth.jwt_algorithm == "HS256" and auth.jwt_private_key_file is not None:
        found.append(
            "AUTH_JWT_PRIVATE_KEY_FILE: not used with HS256; set AUTH_JWT_ALGORITHM to EdDSA,"
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


def _unsafe_in_production(settings: Settings) -> list[str]:
    found = []
    if settings.tls.verify == "none":
        found.append("TLS_VERIFY: production requires full; set TLS_CA_FILE for a private CA")
    found += unsafe_providers(settings.oidc)  # slice: oidc
    public = development_keys(settings)
    found += [
        f"{name}: production requires your own secret; {_MAKE_KEY} generates one" for name in public
    ]
    signing = settings.auth.jwt_secret.get_secret_value()
    found += [
        f"{name}: production requires keys other than those that sign tokens"
        for name, keys in _encryption_keys(settings)
        if signing in keys and name not in public
    ]
    if settings.auth.bcrypt_rounds < 10:
        found.append("AUTH_BCRYPT_ROUNDS: production requires at least 10")
    if settings.app.debug:
        found.append("DEBUG: must be off in production, because it exposes errors to clients")
    if "*" in settings.api.cors_origins:
        found.append("API_CORS_ORIGINS: production requires explicit origins, not *")
    if _is_everybody(settings.api.forwarded_allow_ips):
        found.append(
            "API_FORWARDED_ALLOW_IPS: production requires the proxies' IP addresses, not *;"
            " otherwise clients can spoof their IP address"
        )
    if (settings.database.primary.password or "").lower() in _EASY_PASSWORDS:
        found.append("DATABASE_URL: production requires a non-default database password")
    replica = settings.database.replica
    if replica is not None and (replica.password or "").lower() in _EASY_PASSWORDS:
        found.append("DATABASE_REPLICA_URL: production requires a non-default password")
    admin = settings.first_admin.password
    if admin is not None and admin.get_secret_value().lower() in _EASY_PASSWORDS:
        found.append("FIRST_ADMIN_PASSWORD: production requires a non-default password")
    return found


def _encryption_keys(settings: Settings) -> list[tuple[str, list[str]]]:
    auth = settings.auth
    return [
        ("AUTH_ENCRYPTION_KEY", [auth.encryption_key.get_secret_value()]),
        (
            "AUTH_ENCRYPTION_ACCEPTED_KEYS",
            [key.get_secret_value() for key in auth.encryption_accepted_keys],
        ),
    ]


def _keys(settings: Settings) -> list[tuple[str, list[str]]]:
    auth = settings.auth
    return [
        ("AUTH_JWT_SECRET", [auth.jwt_secret.get_secret_value()]),
        (
            "AUTH_JWT_ACCEPTED_SECRETS",
            [secret.get_secret_value() for secret in auth.jwt_accepted_secrets],
        ),
        *_encryption_keys(settings),
    ]


def _is_everybody(proxies: tuple[str, ...]) -> bool:
    """Whether the networks together cover all of IPv4 or all of IPv6."""
    if "*" in proxies:
        return True
    merged = [*collapse_addresses(map(_as_ipv6, proxies))]
    return any(all_.subnet_of(network) for all_ in _EVERYBODY for network in merged)


def _as_ipv6(given: str) -> IPv6Network:
    """The network; an IPv4 network in its IPv4-mapped form."""
    network = ip_network(given)
    if isinstance(network, IPv6Network):
        return network
    first = int(_IPV4_MAPPED.network_address) + int(network.network_address)
    return IPv6Network((first, _IPV4_MAPPED.prefixlen + network.prefixlen))
