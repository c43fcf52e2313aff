"""A process of the API with a superuser."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from ops.dev.places import free_port
from tests.integration.accounts import new_user
from tests.integration.contract.fuzzing import Api
from tests.integration.processes import GUNICORN, running, serves
from tests.modes import plans_are_on


@pytest.fixture
async def api(tmp_path: Path, fresh_database_url: str, redis_url: str) -> AsyncIterator[Api]:
    port = free_port()
    with running(
        GUNICORN,
        tmp_path / "api.log",
        DATABASE_URL=fresh_database_url,
        REDIS_URL=redis_url,
        API_PORT=str(port),
        API_WORKERS="2",
        AUTH_BCRYPT_ROUNDS="4",
        RATE_LIMIT_ENABLED="false",
        THROTTLE_PAIR_ATTEMPTS="1000000",
        THROTTLE_ADDRESS_ATTEMPTS="1000000",
        THROTTLE_ACCOUNT_ATTEMPTS="1000000",
    ):
        await serves(port)
        # The mode of this run (tests/modes.py), as the process reports it.
        said = "routes are served without plans" in (tmp_path / "api.log").read_text()
        assert said != plans_are_on()
        url = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url) as client:
            headers = await new_user(client, "root@example.com")
        engine = create_async_engine(fresh_database_url, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE users SET is_superuser = true"))
        yield Api(url, headers["Authorization"])
