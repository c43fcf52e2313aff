"""A browser that uses the console of the application under test."""

import httpx2
import pytest

from fastapi_base.core.config import Settings
from fastapi_base.core.config.console import ConsoleSettings
from fastapi_base.db.session import Database
from tests.integration.accounts import new_superuser
from tests.integration.console.visiting import ADMIN, Visitor


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with the console."""
    return settings.model_copy(update={"console": ConsoleSettings(path="/console")})


@pytest.fixture
def visitor(client: httpx2.AsyncClient) -> Visitor:
    """Somebody who has not logged in."""
    return Visitor(client)


@pytest.fixture
async def operator(client: httpx2.AsyncClient, database: Database, visitor: Visitor) -> Visitor:
    """A superuser who has just logged in."""
    await new_superuser(client, database, ADMIN)
    await visitor.log_in()
    return visitor
