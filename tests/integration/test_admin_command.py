"""The first administrator, created by the command."""

import asyncio
import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from fastapi_base.cli.main import app as commands
from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from tests.calling import calling
from tests.integration.accounts import bearer, log_in


@pytest.fixture
def run(fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("FIRST_ADMIN_EMAIL", "Root@example.com")
    monkeypatch.setenv("AUTH_BCRYPT_ROUNDS", "4")

    def call(password: str, *arguments: str) -> Result:
        if arguments:
            return CliRunner().invoke(commands, ["create-admin", *arguments], input=password)
        monkeypatch.setenv("FIRST_ADMIN_PASSWORD", password)
        return CliRunner().invoke(commands, ["create-admin"])

    return call


def test_admin_of_a_private_network(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST_ADMIN_EMAIL", "Admin@corp.local")
    refused = run("correct horse battery staple")
    assert refused.exit_code == 1
    assert "FIRST_ADMIN_EMAIL: " in refused.output
    assert "AUTH_EMAIL_ALLOW_SPECIAL_DOMAINS=true" in refused.output
    monkeypatch.setenv("AUTH_EMAIL_ALLOW_SPECIAL_DOMAINS", "true")
    made = run("correct horse battery staple")
    assert made.exit_code == 0, made.output
    assert "admin@corp.local: superuser created" in made.output
    # Commands that name an account find it.
    ended = CliRunner().invoke(commands, ["revoke-sessions", "admin@corp.local"])
    assert ended.exit_code == 0, ended.output


def test_password_that_cannot_be_used_to_log_in_is_refused(run: Callable[..., Result]) -> None:
    refused = run("correct horse battery staple" * 10)
    assert refused.exit_code == 1
    assert "FIRST_ADMIN_PASSWORD: must have 12 to 256 characters" in refused.output


def test_password_from_standard_input(run: Callable[..., Result]) -> None:
    weak = run("password" * 2, "ada@example.com", "--password-stdin")
    assert (weak.exit_code, weak.stdout) == (1, "")
    assert "The password is too weak: " in weak.stderr
    wrong = run("correct horse battery staple", "ada", "--password-stdin")
    assert "EMAIL: must be an e-mail address\n" in wrong.stderr
    made = run("correct horse battery staple\n", "Ada@example.com", "--password-stdin", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout) == {"email": "ada@example.com", "created": True}
    # The address is the one in the settings.
    other = run("correct horse battery staple\n", "--password-stdin")
    assert other.stdout == "root@example.com: superuser created.\n"


def test_admin_is_created_once_and_can_log_in(
    run: Callable[..., Result],
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
            headers = bearer(reply)
            me = await client.get("/api/v1/users/me", headers=headers)
            assert me.json()["is_superuser"]

    asyncio.run(check())
