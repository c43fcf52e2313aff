"""The operators' commands on accounts."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pyotp
import pytest
from sqlalchemy import Select, func, select
from sqlmodel import col
from typer.testing import CliRunner

from fastapi_base.cli import base
from fastapi_base.cli.main import app as commands
from fastapi_base.core.config import Settings
from fastapi_base.db.session import Database
from fastapi_base.main import create_app
from fastapi_base.models import Job
from tests.integration.accounts import PASSWORD, authorization, log_in, new_user

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


async def scalar(database: Database, statement: Select[Any]) -> Any:
    async with database.read() as connection:
        return await connection.scalar(statement)


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
    # The owner is notified, as after a reset by mail.
    statement = (
        select(func.count())
        .where(col(Job.kind) == "mail")
        .where(col(Job.payload)["values"]["notice"].astext == "password_changed")
    )
    assert base.with_database(lambda database: scalar(database, statement)) == 1
    made = run(commands, ["reset-password", "ada@example.com"])
    password = made.stdout.splitlines()[-1].removeprefix("The new password: ")
    assert call(lambda client: log_in(client, "ada@example.com", password)).status_code == 200


def test_password_reset_by_an_operator_cleans_an_unconfirmed_account(
    call: Callable[..., Any],
) -> None:
    """The address is unconfirmed: a stranger may have used the account before."""

    async def use(client: httpx2.AsyncClient) -> str:
        headers = await new_user(client, "ada@example.com")
        body = {"name": "x", "scopes": ["profile:read"]}
        made = await client.post("/api/v1/api-keys", json=body, headers=headers)
        secret = await client.post(
            "/api/v1/auth/totp", json={"password": PASSWORD}, headers=headers
        )
        code = {"code": pyotp.TOTP(secret.json()["secret"]).now()}
        on = await client.post("/api/v1/auth/totp/confirm", json=code, headers=headers)
        assert on.status_code == 200
        found: str = made.json()["key"]
        return found

    key = call(use)

    def me(client: httpx2.AsyncClient, token: str) -> Any:
        headers = authorization(token)
        return client.get("/api/v1/users/me", headers=headers)

    given = run(commands, ["reset-password", "ada@example.com", "--password-stdin"], input=NEW)
    assert "sessions ended: 1" in given.output
    assert call(lambda client: me(client, key)).status_code == 401
    token = call(lambda client: log_in(client, "ada@example.com", NEW)).json()["access_token"]
    assert call(lambda client: me(client, token)).json()["is_verified"] is True
    # From then on the account is confirmed, and keeps what its owner sets up.
    run(commands, ["reset-password", "ada@example.com", "--password-stdin"], input=NEW + " two")
    again = call(lambda client: log_in(client, "ada@example.com", NEW + " two"))
    assert again.status_code == 200


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
def test_impossible_operation_is_explained(
    call: Callable[..., Any], arguments: list[str], typed: str, message: str
) -> None:
    result = run(commands, arguments, input=typed)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
