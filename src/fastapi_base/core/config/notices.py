"""Warnings about the settings at process start, each logged once."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import structlog

from fastapi_base.core.config.base import Settings
from fastapi_base.core.config.checks import development_keys
from fastapi_base.core.config.urls import is_loopback
from fastapi_base.core.runtime import libraries

log = structlog.stdlib.get_logger(__name__)

_said: set[str] = set()


def log_notices(settings: Settings) -> None:
    """Warn of unknown variables, public development keys, untested library versions, and of
    connections to other machines without TLS in production.
    """
    found = [("unknown environment variable", notice) for notice in settings.notices]
    if names := development_keys(settings):
        found.append(("public development keys in use", ", ".join(names)))
    if settings.app.environment == "production":
        found += [("connection without TLS", notice) for notice in _unencrypted(settings)]
    found += [("library not tested", notice) for notice in libraries.untested()]
    for event, detail in found:
        if detail not in _said:
            _said.add(detail)
            log.warning(event, detail=detail)


def _unencrypted(settings: Settings) -> Iterator[str]:
    database, redis = settings.database, settings.redis
    urls = [url for url in (database.primary, database.replica) if url is not None]
    mode = database.ssl_mode
    if mode in {"disable", "prefer"} and _leave(host for url in urls for host, _ in url.hosts):
        yield f"DATABASE_SSL_MODE={mode} may send passwords in plain text; set verify-full"
    names = [host for host, _ in redis.sentinel_addresses] or [_host(redis.url.get_secret_value())]
    if not redis.encrypted and _leave(names):
        yield "REDIS_URL sends passwords in plain text; use rediss://"
    broker = settings.celery.broker_url
    brokers = broker.get_secret_value().split(";") if broker else []
    if _leave(_host(url) for url in brokers if url.startswith("amqp:")):
        yield "CELERY_BROKER_URL sends passwords in plain text; use amqps://"


def _host(url: str) -> str:
    return urlsplit(url).hostname or "localhost"


def _leave(hosts: Iterable[str]) -> bool:
    """Whether connections to one of these hosts leave this machine. A path is a local socket."""
    return not all(host.startswith("/") or is_loopback(host) for host in hosts)
