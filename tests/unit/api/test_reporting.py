"""Errors are reported to a server that speaks Sentry's protocol, without personal data."""

import asyncio

import httpx2
import pytest
from pydantic import SecretStr

from fastapi_base.core.config import Settings
from fastapi_base.core.config.observability import SentrySettings
from fastapi_base.main import create_app
from ops.measure.bench.collector import Received, receiving

pytestmark = pytest.mark.anyio
SECRETS = (b"hunter2", b"ada@example.com", b"203.0.113.9")


async def ask(settings: Settings, traces: float) -> Received:
    with receiving() as received:
        sentry = SentrySettings(dsn=SecretStr(received.dsn), traces=traces)
        app_settings = settings.app.model_copy(update={"image_digest": "sha256:feed"})
        app = create_app(settings.model_copy(update={"sentry": sentry, "app": app_settings}))

        @app.post("/broken/{item}")
        async def broken(item: str, body: dict[str, str]) -> None:
            password = body["password"]  # a local variable, which must not be sent
            raise RuntimeError(f"no luck with {body['email']}, Bearer {password}")

        transport = httpx2.ASGITransport(app=app, client=("203.0.113.9", 1))
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            reply = await client.post(
                "/broken/1?token=hunter2",
                json={"email": "ada@example.com", "password": "hunter2"},
                headers={
                    "authorization": "Bearer hunter2",
                    "cookie": "session=hunter2",
                    "x-request-id": "report-me-please",
                },
            )
            assert reply.status_code == 500
            await client.get("/health/live")
        await asyncio.sleep(0)
    return received


async def test_error_is_reported_with_release_environment_and_request_id(
    settings: Settings,
) -> None:
    received = await ask(settings, traces=0)
    (event,) = received.events
    assert event["item"] == "event"
    assert event["release"] == "fastapi-base@0.1.0+sha256:feed"
    assert event["environment"] == "test"
    assert event["tags"]["request_id"] == "report-me-please"
    (raised,) = event["exception"]["values"]
    assert raised["type"] == "RuntimeError"
    assert raised["value"] == "no luck with [redacted], Bearer [redacted]"
    assert "broken" in [frame["function"] for frame in raised["stacktrace"]["frames"]]
    for secret in SECRETS:
        assert not [body for body in received.raw if secret in body], secret


async def test_transactions_are_sampled(settings: Settings) -> None:
    received = await ask(settings, traces=1)
    kinds = [event["item"] for event in received.events]
    assert sorted(kinds) == ["event", "transaction", "transaction"]
    names = {event["transaction"] for event in received.events if event["item"] == "transaction"}
    assert not [name for name in names if "hunter2" in name or "/1" in name]
    for secret in SECRETS:
        assert not [body for body in received.raw if secret in body], secret


async def test_only_the_sampled_share_is_reported(settings: Settings) -> None:
    with receiving() as received:
        sentry = SentrySettings(dsn=SecretStr(received.dsn), traces=0.5)
        app = create_app(settings.model_copy(update={"sentry": sentry}))
        transport = httpx2.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            for _ in range(60):
                await client.get("/health/live")
    # Half, plus or minus six standard deviations.
    assert 7 < len(received.events) < 53
