"""The first admin, made by the command."""

import asyncio
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from fastapi_base.cli import app as commands
from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from tests.calling import calling
from tests.integration.accounts import log_in


@pytest.fixture
def run(fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("FIRST_ADMIN_EMAIL", "Root@example.com")
    monkeypatch.setenv("AUTH_BCRYPT_ROUNDS", "4")

    def call(password: str) -> Result:
        monkeypatch.setenv("FIRST_ADMIN_PASSWORD", password)
        return CliRunner().invoke(commands, ["create-admin"])

    return call


def test_admin_is_made_once_and_can_log_in(
    run: Callable[[str], Result],
    make_settings: Callable[[str], Settings],
    fresh_database_url: str,
) -> None:
    first = run("correct horse battery staple")
    assert first.exit_code == 0
    assert "root@example.com: superuser created" in first.output
    second = run("another password entirely")
    assert second.exit_code == 0
    assert "unchanged" in second.output

    async def check() -> None:
        app = create_app(make_settings(fresh_database_url))
        async with calling(app) as client:
            reply = await log_in(client, "root@example.com")
            headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
            me = await client.get("/api/v1/users/me", headers=headers)
            assert me.json()["is_superuser"]

    asyncio.run(check())
