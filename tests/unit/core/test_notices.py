"""Warnings about the settings at process start."""

import pytest
import structlog
from structlog.testing import capture_logs

from fastapi_base.core.config import notices
from tests.unit.core.environment import load
from tests.unit.core.test_config import SAFE

pytestmark = pytest.mark.usefixtures("clean_environment")
DATABASE = "postgresql://app:a-long-password@{}/app"


def noticed(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    monkeypatch.setattr(notices, "_said", set())
    # A logger that other tests used keeps the processors of that time.
    monkeypatch.setattr(notices, "log", structlog.stdlib.get_logger())
    with capture_logs() as logs:
        notices.log_notices(load(monkeypatch, **variables))
    return [str(log["detail"]) for log in logs if log["event"] == "connection without TLS"]


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        ({"DATABASE_URL": DATABASE.format("db.example.com")}, "verify-full"),
        ({"DATABASE_URL": f"{DATABASE.format('10.0.0.7')}?sslmode=disable"}, "verify-full"),
        ({"DATABASE_URL": DATABASE.format("127.0.0.1,10.0.0.7")}, "verify-full"),
        ({"DATABASE_REPLICA_URL": DATABASE.format("10.0.0.7")}, "verify-full"),
        ({"REDIS_URL": "redis://:hunter2@redis.example.com/0"}, "rediss://"),
        ({"REDIS_SENTINELS": "10.0.0.7:26379,10.0.0.8:26379"}, "rediss://"),
        ({"CELERY_BROKER_URL": "amqp://app:hunter2@rabbit.example.com/app"}, "amqps://"),
        ({"CELERY_BROKER_URL": "amqp://a:b@127.0.0.1/app;amqp://a:b@10.0.0.7/app"}, "amqps://"),
    ],
)
def test_connection_without_tls_is_reported_in_production(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], cure: str
) -> None:
    (name,) = given
    safe = {**SAFE, "DATABASE_URL": DATABASE.format("127.0.0.1")}
    (notice,) = noticed(monkeypatch, **{**safe, **given})
    assert notice.startswith({"REDIS_SENTINELS": "REDIS_URL"}.get(name, name.partition("_")[0]))
    assert cure in notice
    assert "hunter2" not in notice
    assert noticed(monkeypatch, ENVIRONMENT="development", **given) == []


@pytest.mark.parametrize(
    "given",
    [
        {"DATABASE_URL": DATABASE.format("[::1]")},
        {"DATABASE_URL": f"{DATABASE.format('')}?host=/run/postgresql"},
        {"DATABASE_URL": DATABASE.format("10.0.0.7"), "DATABASE_SSL_MODE": "require"},
        {"DATABASE_URL": f"{DATABASE.format('10.0.0.7')}?sslmode=verify-full"},
        {"REDIS_URL": "redis://localhost/0"},
        {"REDIS_URL": "rediss://redis.example.com/0"},
        {"REDIS_URL": "rediss://redis/0", "REDIS_SENTINELS": "10.0.0.7:26379"},
        {"CELERY_BROKER_URL": "amqps://app:hunter2@rabbit.example.com/app"},
        {"CELERY_BROKER_URL": "amqp://app:hunter2@127.0.0.1/app"},
    ],
)
def test_encrypted_and_local_connections_are_not_reported(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    safe = {**SAFE, "DATABASE_URL": DATABASE.format("127.0.0.1")}
    assert noticed(monkeypatch, **{**safe, **given}) == []
