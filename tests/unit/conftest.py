"""Shared fixtures of unit tests: the application without servers."""

from collections.abc import AsyncIterator

import httpx2
import hypothesis
import pytest
from fastapi import FastAPI

from fastapi_base.core.config import (
    ApiSettings,
    AppSettings,
    AuthSettings,
    DatabaseSettings,
    RateLimitSettings,
    RedisSettings,
    Settings,
)
from tests.calling import calling

# The duration of an example depends on the machine, so Hypothesis sets no deadline.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# The discard port: nothing listens there, so connections are refused at once.
NOBODY = "127.0.0.1:9"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that the service runs on."""
    return "asyncio"


@pytest.fixture
def settings() -> Settings:
    """Settings of a service whose servers are all unavailable."""
    return Settings(
        app=AppSettings(environment="test"),
        api=ApiSettings(max_body_bytes=2000, cors_origins=("https://app.example.com",)),
        database=DatabaseSettings.model_validate({"url": f"postgresql://u:p@{NOBODY}/none"}),
        redis=RedisSettings.model_validate({"url": f"redis://{NOBODY}/0"}),
        auth=AuthSettings(bcrypt_rounds=4),
        rate_limit=RateLimitSettings(enabled=False),
    )


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """The application; a test may add routes."""
    # Only here: most unit tests do not need it, and it takes long to import.
    from fastapi_base.main import create_app

    return create_app(settings)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that calls the application in this process."""
    async with calling(app) as opened:
        yield opened
