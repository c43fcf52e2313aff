"""The API keeps to its own description, whatever it is sent: Schemathesis against a real process.

It always tries the same few hundred requests, so that a change either breaks it or does not. With
API_FUZZ_SECONDS it searches that long for others: `make fuzz`.
"""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from openapi_spec_validator import validate
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.core.config import Settings
from fastapi_base.core.flags import FLAGS
from fastapi_base.main import create_app
from ops.dev.places import free_port
from tests.integration.accounts import new_user
from tests.integration.processes import GUNICORN, environment, running
from tests.integration.waiting import until

HERE = Path(__file__).parent.absolute()
SECONDS = int(os.environ.get("API_FUZZ_SECONDS") or "0")
EFFORT = ("--max-time", str(SECONDS)) if SECONDS else ("--seed", "2026", "--max-examples", "12")
# Each operation by itself.
ALONE = ("--phases", "examples,coverage,fuzzing")
# Tried apart, or the rest would see nothing but 503: they switch the service to read-only.
SWITCHING = ("override_flag", "reset_flag")
# Tried last, or the rest would see nothing but 401: they end the caller's own access.
ENDING = (
    "logout",
    "delete_sessions",
    "delete_session",
    "change_password",
    "deactivate_me",
    "delete_me",
)


@dataclass(frozen=True, slots=True)
class Api:
    """A process of the API, and the header of a superuser."""

    url: str
    authorization: str


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
        url = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url) as client:

            async def ready() -> bool | None:
                try:
                    return (await client.get("/health/ready")).status_code == 200 or None
                except httpx2.TransportError:
                    return None

            await until(ready, "ready", seconds=90)
            headers = await new_user(client, "root@example.com")
        engine = create_async_engine(fresh_database_url, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE users SET is_superuser = true"))
        yield Api(url, headers["Authorization"])


def schemathesis(api: Api, folder: Path, *selection: str) -> str:
    """Search for a request whose reply breaks the description; fails with the request.

    Returns the report.
    """
    command = [
        *(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(HERE / "schemathesis.toml"),
        ),
        *("run", f"{api.url}/openapi.json", "--header", f"Authorization: {api.authorization}"),
        *EFFORT,
        *selection,
    ]
    result = subprocess.run(
        command,
        env=environment(
            NO_COLOR="1",
            COLUMNS="120",
            SCHEMATHESIS_HOOKS="tests.integration.contract.hooks",
        ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS * 3 + 240,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-5_000:]
    return result.stdout


def test_description_is_valid(settings: Settings) -> None:
    validate(create_app(settings).openapi())


@pytest.mark.anyio
async def test_replies_stay_as_described_along_links(api: Api, tmp_path: Path) -> None:
    """Objects are made, then read, changed and removed, in orders made up."""
    effort = ("--phases", "stateful", "--max-examples", "40", "--include-tag", "items")
    # What is removed stays so, as Schemathesis expects it.
    report = schemathesis(api, tmp_path, *effort, "--exclude-operation-id", "restore_item")
    assert re.search(r"API Links: +[1-9]", report), report[-5_000:]


@pytest.mark.anyio
async def test_replies_are_as_described(api: Api, tmp_path: Path) -> None:
    schemathesis(api, tmp_path, *ALONE, *options("exclude", SWITCHING + ENDING))
    schemathesis(api, tmp_path, *ALONE, *options("include", SWITCHING))
    async with httpx2.AsyncClient(base_url=api.url) as client:
        headers = {"Authorization": api.authorization}
        for name in FLAGS:
            await client.delete(f"/api/v1/feature-flags/{name}", headers=headers)
    schemathesis(api, tmp_path, *ALONE, *options("include", ENDING))


def options(kind: str, operations: tuple[str, ...]) -> list[str]:
    """Options that include or exclude operations."""
    return [part for name in operations for part in (f"--{kind}-operation-id", name)]
