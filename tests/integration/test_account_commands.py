"""What operators do to accounts by commands."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from fastapi_base.cli import app as commands
from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from tests.integration.accounts import log_in, new_user

run = CliRunner().invoke
NEW = "an entirely different password"


@pytest.fixture
def call(
    make_settings: Callable[[str], Settings],
    fresh_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[httpx2.AsyncClient], Any]], Any]:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("AUTH_BCRYPT_ROUNDS", "4")

    def calling(work: Callable[[httpx2.AsyncClient], Any]) -> Any:
        async def go() -> Any:
            app = create_app(make_settings(fresh_database_url))
            transport = httpx2.ASGITransport(app=app)
            async with (
                app.router.lifespan_context(app),
                httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
            ):
                return await work(client)

        return asyncio.run(go())

    return calling


def test_password_is_reset_and_sessions_end(call: Callable[..., Any]) -> None:
    ada = call(lambda client: new_user(client, "ada@example.com"))

    def me(client: httpx2.AsyncClient) -> Any:
        return client.get("/api/v1/users/me", headers=ada)

    ended = run(commands, ["revoke-sessions", "Ada@example.com"])
    assert (ended.exit_code, ended.stdout) == (0, "ada@example.com: sessions ended: 1.\n")
    assert call(me).status_code == 401
    assert call(lambda client: log_in(client, "ada@example.com")).status_code == 200
    given = run(commands, ["reset-password", "ada@example.com", "--password-stdin"], input=NEW)
    assert given.exit_code == 0
    assert NEW not in given.output
    assert "sessions ended: 1" in given.output
    assert call(lambda client: log_in(client, "ada@example.com")).status_code == 401
    assert call(lambda client: log_in(client, "ada@example.com", NEW)).status_code == 200
    made = run(commands, ["reset-password", "ada@example.com"])
    password = made.stdout.splitlines()[-1].removeprefix("The new password: ")
    assert call(lambda client: log_in(client, "ada@example.com", password)).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (["revoke-sessions", "nobody@example.com"], "", "EMAIL: no account has"),
        (["revoke-sessions", "nobody"], "", "EMAIL: must be"),
        (["reset-password", "nobody@example.com"], "", "EMAIL: no account has"),
        (["reset-password", "a@example.com", "--password-stdin"], "short", "The password must"),
        (
            ["reset-password", "a@example.com", "--password-stdin"],
            "password" * 2,
            "The password is",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    call: Callable[..., Any], arguments: list[str], typed: str, message: str
) -> None:
    result = run(commands, arguments, input=typed)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
