"""Where Celery's messages and results go: Redis, Redis behind Sentinel, or RabbitMQ."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi_base.core.config import Settings


@dataclass(frozen=True, slots=True)
class Broker:
    """The addresses of broker and results, with what the transport of each is told besides."""

    url: str
    options: dict[str, Any]
    results_url: str
    results_options: dict[str, Any]

    @classmethod
    def of(cls, settings: Settings) -> "Broker":
        """What the settings choose. Results are in Redis whatever the broker is."""
        redis = settings.redis
        sockets: dict[str, Any] = {
            "socket_connect_timeout": redis.connect_timeout,
            "socket_keepalive": True,
        }
        visibility = {"visibility_timeout": settings.celery.visibility_timeout, **sockets}
        url = redis.url.get_secret_value()
        results: dict[str, Any] = {}
        if redis.sentinels:
            url = ";".join(_sentinel_url(url, address) for address in redis.sentinels)
            results["master_name"] = redis.sentinel_master
            if redis.sentinel_password:
                secret = redis.sentinel_password.get_secret_value()
                results["sentinel_kwargs"] = {"password": secret}
        if settings.celery.broker_url:
            # A publisher waits until RabbitMQ has the message: without that, one can be lost.
            options: dict[str, Any] = {"confirm_publish": True}
            return cls(settings.celery.broker_url.get_secret_value(), options, url, results)
        return cls(url, {**visibility, **results}, url, results)


def _sentinel_url(redis_url: str, address: str) -> str:
    """Celery's form: the login and the database are Redis', the address is the Sentinel's."""
    parts = urlsplit(redis_url)
    login, at, _ = parts.netloc.rpartition("@")
    return f"sentinel://{login}{at}{address}{parts.path or '/0'}"
