"""Real servers for the tests, started once; a separate database for each pytest worker.

The main pytest process runs the servers and migrates a template database from empty. Workers of
pytest-xdist receive the URLs and clone the template.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import hypothesis
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from fastapi_base.core.config import (
    ApiSettings,
    AppSettings,
    AuthSettings,
    DatabaseSettings,
    RateLimitSettings,
    RedisSettings,
    Settings,
)
from fastapi_base.core.config.jobs import CelerySettings
from fastapi_base.core.config.throttle import ThrottleSettings
from fastapi_base.migrations import runner
from tests import servers
from tests.calling import calling
from tests.integration.applications import Applications
from tests.integration.databases import RolledBackDatabase, clone, drop, leftovers, sibling
from tests.integration.mailing import Inbox, serving

# The duration of an example depends on the machine, so Hypothesis sets no deadline.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

TEMPLATE = "service_template"
_stack = pytest.StashKey[ExitStack]()
_shared = pytest.StashKey[str]()
_addresses = pytest.StashKey[dict[str, str]]()


def _start(config: pytest.Config) -> dict[str, str]:
    """Start the servers once, for this process and its workers."""
    if _addresses not in config.stash:
        given: dict[str, str] | None = getattr(config, "workerinput", {}).get("servers")
        config.stash[_stack] = ExitStack()
        if given is None:
            admin = config.stash[_stack].enter_context(servers.postgres_server())
            redis = config.stash[_stack].enter_context(servers.redis_server())
            asyncio.run(clone(admin, TEMPLATE, "template0"))
            runner.upgrade(sibling(admin, TEMPLATE))
            given = {"postgres": admin, "redis": redis}
        config.stash[_addresses] = given
    return config.stash[_addresses]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: pytest.Session) -> None:
    """Called by pytest-xdist in the process that starts the workers."""
    node.workerinput["servers"] = _start(node.config)  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers."""
    if _stack in config.stash:
        config.stash[_stack].close()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that the service runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def admin_url(pytestconfig: pytest.Config) -> str:
    """The superuser's URL of the PostgreSQL server."""
    return _start(pytestconfig)["postgres"]


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config, worker_number: int) -> str:
    """A Redis database of this pytest worker."""
    server = _start(pytestconfig)["redis"]
    return urlsplit(server)._replace(path=f"/{worker_number % 16}").geturl()


@pytest.fixture(scope="session")
def worker_number(request: pytest.FixtureRequest) -> int:
    """0, 1, ... for the workers of pytest-xdist; 0 without it."""
    name: str = getattr(request.config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))


@pytest.fixture(scope="session")
def database_url(admin_url: str, worker_number: int, pytestconfig: pytest.Config) -> Iterator[str]:
    """A migrated database of this pytest worker. Tests leave it as they found it."""
    name = f"service_{worker_number}"
    asyncio.run(clone(admin_url, name, TEMPLATE))
    url = pytestconfig.stash[_shared] = sibling(admin_url, name)
    yield url
    asyncio.run(drop(admin_url, name))


@pytest.fixture(scope="module", autouse=True)
def shared_database_stays_empty(pytestconfig: pytest.Config) -> Iterator[None]:
    """Fails the last test of a module whose tests leave rows in `database_url`."""
    yield
    if url := pytestconfig.stash.get(_shared, None):
        left = asyncio.run(leftovers(url))
        assert not left, f"rows left in {', '.join(left)}: use fresh_database_url"


@pytest.fixture
def fresh_database_url(admin_url: str, worker_number: int) -> Iterator[str]:
    """A migrated database for a single test, for tests that commit."""
    name = f"service_{worker_number}_fresh"
    asyncio.run(clone(admin_url, name, TEMPLATE))
    yield sibling(admin_url, name)
    asyncio.run(drop(admin_url, name))


@pytest.fixture
def empty_database_url(admin_url: str, worker_number: int) -> Iterator[str]:
    """An empty database for a single test."""
    name = f"service_{worker_number}_empty"
    asyncio.run(clone(admin_url, name, "template0"))
    yield sibling(admin_url, name)
    asyncio.run(drop(admin_url, name))


@pytest.fixture
def make_settings(redis_url: str) -> Callable[[str], Settings]:
    """Settings for a database, fast where tests need no strength."""

    def make(url: str) -> Settings:
        return Settings(
            app=AppSettings(environment="test"),
            api=ApiSettings(),
            database=DatabaseSettings.model_validate({"url": url}),
            redis=RedisSettings.model_validate({"url": redis_url}),
            auth=AuthSettings(bcrypt_rounds=4),
            celery=CelerySettings(),
            rate_limit=RateLimitSettings(enabled=False),
            # Tests of other features may fail to log in any number of times.
            throttle=ThrottleSettings(
                pair_attempts=1000, address_attempts=1000, account_attempts=1000
            ),
        )

    return make


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], database_url: str) -> Settings:
    """Settings of the application under test."""
    return make_settings(database_url)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Redis, empty."""
    async with Redis.from_url(redis_url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction that is rolled back at the end of the test."""
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.connect() as opened, opened.begin() as outer:
        yield opened
        await outer.rollback()


@pytest.fixture
def database(connection: AsyncConnection) -> RolledBackDatabase:
    """The database of the application under test: everything it commits is rolled back."""
    return RolledBackDatabase(connection)


@pytest.fixture(scope="session")
def applications() -> Applications:
    """The applications of this pytest worker."""
    return Applications()


@pytest.fixture
def app(
    applications: Applications, settings: Settings, database: RolledBackDatabase, redis: Redis
) -> Iterator[FastAPI]:
    """The complete application, on the test's transaction and an empty Redis.

    Earlier tests with equal settings used it too: tests that change it use `own_app`.
    """
    lent = applications.lend(settings, database)
    routes = [*lent.routes]
    yield lent
    overrides = {**lent.dependency_overrides}
    lent.dependency_overrides.clear()
    assert lent.routes == routes
    assert not overrides


@pytest.fixture
def own_app(settings: Settings, database: RolledBackDatabase, redis: Redis) -> FastAPI:
    """An application like `app` that no other test uses."""
    return Applications().lend(settings, database)


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Inbox]:
    """A mail server. The test's settings have to include `inbox.settings`."""
    async with serving(tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that calls the application in this process."""
    async with calling(app) as opened:
        yield opened
