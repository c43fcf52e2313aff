"""Where Celery's messages go: Redis, Redis behind Sentinel, or RabbitMQ."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi_base.core.config import Settings


@dataclass(frozen=True, slots=True)
class Broker:
    """The address of the broker, with what its transport is told besides."""

    url: str
    options: dict[str, Any]

    @classmethod
    def of(cls, settings: Settings) -> "Broker":
        """What the settings choose."""
        if settings.celery.broker_url:
            # A publisher waits until RabbitMQ has the message: without that, one can be lost.
            return cls(settings.celery.broker_url.get_secret_value(), {"confirm_publish": True})
        redis = settings.redis
        url = redis.url.get_secret_value()
        options: dict[str, Any] = {
            "visibility_timeout": settings.celery.visibility_timeout,
            "socket_connect_timeout": redis.connect_timeout,
            "socket_keepalive": True,
        }
        if redis.sentinels:
            url = ";".join(_sentinel_url(url, address) for address in redis.sentinels)
            options["master_name"] = redis.sentinel_master
            if redis.sentinel_password:
                secret = redis.sentinel_password.get_secret_value()
                options["sentinel_kwargs"] = {"password": secret}
        return cls(url, options)


def _sentinel_url(redis_url: str, address: str) -> str:
    """Celery's form: the login and the database are Redis', the address is the Sentinel's."""
    parts = urlsplit(redis_url)
    login, at, _ = parts.netloc.rpartition("@")
    return f"sentinel://{login}{at}{address}{parts.path or '/0'}"
