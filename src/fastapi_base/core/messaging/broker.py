"""Celery's broker: Redis, Redis behind Sentinel, or RabbitMQ."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.redis import sentinel_arguments
from fastapi_base.core.security.tls import rabbitmq_tls, redis_tls

# Kombu gives up a silent connection after about twice this interval. With Kombu's default of 25
# seconds, a worker would receive no messages for most of a minute.
_HEALTH_CHECK_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Broker:
    """The URL of the broker and the options of its transport.

    `tls` is None without TLS. By default, Kombu accepts any certificate for rediss:// URLs.
    """

    url: str
    options: dict[str, Any]
    tls: dict[str, Any] | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Broker":
        """The broker that the settings select."""
        if settings.celery.broker_url:
            # Publisher confirms: without them, RabbitMQ can lose a message that was sent to it.
            url = settings.celery.broker_url.get_secret_value()
            host = urlsplit(url).hostname if url.startswith("amqps:") else None
            return cls(
                url, {"confirm_publish": True}, rabbitmq_tls(settings.tls, host) if host else None
            )
        redis = settings.redis
        url = redis.url.get_secret_value()
        options: dict[str, Any] = {
            "visibility_timeout": settings.celery.visibility_timeout,
            # Without a timeout, a worker whose connection went silent would block in an
            # acknowledgement forever.
            "socket_timeout": redis.timeout,
            "socket_connect_timeout": redis.connect_timeout,
            "health_check_interval": _HEALTH_CHECK_SECONDS,
            "socket_keepalive": True,
        }
        if redis.sentinels:
            url = ";".join(_sentinel_url(url, address) for address in redis.sentinels)
            options["master_name"] = redis.sentinel_master
            options["sentinel_kwargs"] = sentinel_arguments(redis, settings.tls)
        return cls(url, options, redis_tls(settings.tls) if redis.encrypted else None)


def _sentinel_url(redis_url: str, address: str) -> str:
    """Celery's URL format: credentials and database of Redis, with the address of the Sentinel."""
    parts = urlsplit(redis_url)
    login, at, _ = parts.netloc.rpartition("@")
    return f"sentinel://{login}{at}{address}{parts.path or '/0'}"
