"""The operators' commands on accounts."""

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pyotp
import pytest
from sqlalchemy import Select, func, select
from sqlmodel import col
from typer.testing import CliRunner

from fastapi_base.cli import base
from fastapi_base.cli.main import app as commands
from fastapi_base.core import emails
from fastapi_base.core.config import Settings
from fastapi_base.db.session import Database
from fastapi_base.main import create_app
from fastapi_base.models import AuditEvent, Job, User
from fastapi_base.services.identity import users
from tests.integration.accounts import PASSWORD, authorization, log_in, new_user

run = CliRunner().invoke
NEW = "an entirely different password"
NOBODY = "0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"


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


def account(email: str, *, is_superuser: bool = False) -> str:
    """Add an account that nobody has used yet; returns its id."""

    async def add(database: Database) -> uuid.UUID | None:
        async with database.transaction() as session:
            return await users.add(
                session, email=email, password_hash="unused", is_superuser=is_superuser
            )

    return str(base.with_database(add))


def printed(*arguments: str) -> Any:
    """The JSON document that a command on accounts prints."""
    result = run(commands, ["accounts", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def found(*arguments: str) -> list[str]:
    return [one["email"] for one in printed("find", *arguments)["items"]]


async def events(database: Database) -> list[Any]:
    """The action, the actor, the subject and the details of each event that a command caused."""
    columns = (AuditEvent.action, AuditEvent.actor_id, AuditEvent.subject_id, AuditEvent.details)
    statement = select(*map(col, columns)).where(col(AuditEvent.address).is_(None))
    async with database.read() as connection:
        return list(await connection.execute(statement.order_by(col(AuditEvent.id))))


async def use(client: httpx2.AsyncClient) -> tuple[str, str]:
    """Log in, create an API key and set up a second factor; returns the two tokens."""
    headers = await new_user(client, "ada@example.com")
    body = {"name": "x", "scopes": ["profile:read"]}
    made = await client.post("/api/v1/api-keys", json=body, headers=headers)
    secret = await client.post("/api/v1/auth/totp", json={"password": PASSWORD}, headers=headers)
    code = {"code": pyotp.TOTP(secret.json()["secret"]).now()}
    on = await client.post("/api/v1/auth/totp/confirm", json=code, headers=headers)
    assert on.status_code == 200
    return headers["Authorization"].removeprefix("Bearer "), made.json()["key"]


def me(client: httpx2.AsyncClient, token: str) -> Any:
    return client.get("/api/v1/users/me", headers=authorization(token))


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
    user_id = base.with_database(lambda database: scalar(database, select(col(User.id))))
    again = run(commands, ["revoke-sessions", str(user_id)])
    assert (again.exit_code, again.stdout) == (0, "ada@example.com: sessions ended: 0.\n")
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

    _, key = call(use)
    given = run(commands, ["reset-password", "ada@example.com", "--password-stdin"], input=NEW)
    assert "sessions ended: 1" in given.output
    assert call(lambda client: me(client, key)).status_code == 401
    token = call(lambda client: log_in(client, "ada@example.com", NEW)).json()["access_token"]
    assert call(lambda client: me(client, token)).json()["is_verified"] is True
    # From then on the account is confirmed, and keeps what its owner sets up.
    run(commands, ["reset-password", "ada@example.com", "--password-stdin"], input=NEW + " two")
    again = call(lambda client: log_in(client, "ada@example.com", NEW + " two"))
    assert again.status_code == 200


def test_accounts_are_found_by_part_status_and_role(call: Callable[..., Any]) -> None:
    for email in ("ada@example.com", "grace@example.org", "a_a@example.org"):
        account(email)
    account("root@example.com", is_superuser=True)
    run(commands, ["accounts", "deactivate", "grace@example.org"])
    assert found() == [
        "root@example.com",
        "a_a@example.org",
        "grace@example.org",
        "ada@example.com",
    ]
    assert found("ADA@") == ["ada@example.com"]
    assert found("@example.org") == ["a_a@example.org", "grace@example.org"]
    # Neither a pattern: `_` stands for itself.
    assert found("a_a") == ["a_a@example.org"]
    assert found("example.org", "--inactive") == ["grace@example.org"]
    assert found("example.org", "--active") == ["a_a@example.org"]
    assert found("--superuser") == ["root@example.com"]
    assert found("--user", "--inactive") == ["grace@example.org"]


def test_list_of_accounts_continues_at_its_cursor(call: Callable[..., Any]) -> None:
    emails = [f"user{number}@example.com" for number in range(3)]
    for email in emails:
        account(email)
    first = run(commands, ["accounts", "find", "--limit", "2"])
    head, *lines = [line.split("\t") for line in first.stdout.splitlines()]
    assert head[:2] == ["id", "email"]
    assert [line[1] for line in lines] == emails[:0:-1]
    assert lines[0][2:5] == ["no", "yes", "no"]
    cursor = first.stderr.splitlines()[-1].removeprefix("There are more entries: --cursor ")
    second = printed("find", "--limit", "2", "--cursor", cursor)
    assert [one["email"] for one in second["items"]] == emails[:1]
    assert second["next"] is None


def test_account_is_shown_with_what_its_owner_set_up(call: Callable[..., Any]) -> None:
    call(use)
    seen = printed("show", "Ada@example.com")
    assert {name: seen[name] for name in ("email", "is_active", "sessions", "api_keys")} == {
        "email": "ada@example.com",
        "is_active": True,
        "sessions": 1,
        "api_keys": 1,
    }
    assert seen["recovery_codes"] == 10
    assert seen["passkeys"] == 0  # slice: passkeys
    assert seen["providers"] == []  # slice: oidc
    assert seen["second_factor_since"].endswith("Z")
    shown = run(commands, ["accounts", "show", seen["id"]])
    assert f"id: {seen['id']}\nemail: ada@example.com\nis_verified: no\n" in shown.stdout
    assert "sessions: 1\napi_keys: 1\n" in shown.stdout
    assert "passkeys: 0\n" in shown.stdout  # slice: passkeys
    assert "providers: []\n" in shown.stdout  # slice: oidc
    assert "deactivated_at" not in shown.stdout


def test_deactivated_account_loses_its_sessions_and_keys(call: Callable[..., Any]) -> None:
    token, key = call(use)
    user_id = uuid.UUID(printed("show", "ada@example.com")["id"])
    assert [call(lambda client, one=one: me(client, one)).status_code for one in (token, key)] == [
        200,
        200,
    ]
    off = run(commands, ["accounts", "deactivate", "ada@example.com"])
    assert (off.exit_code, off.stdout) == (0, "ada@example.com: deactivated.\n")
    assert [call(lambda client, one=one: me(client, one)).status_code for one in (token, key)] == [
        401,
        401,
    ]
    assert call(lambda client: log_in(client, "ada@example.com")).status_code == 401
    again = printed("deactivate", str(user_id))
    assert (again["id"], again["is_active"]) == (str(user_id), False)
    assert printed("reactivate", "ada@example.com")["is_active"] is True
    # The second factor is still required: the account is as it was, without sessions and keys.
    assert call(lambda client: log_in(client, "ada@example.com")).status_code == 401
    seen = printed("show", "ada@example.com")
    assert (seen["sessions"], seen["api_keys"], seen["recovery_codes"]) == (0, 0, 10)
    written = [
        (action, details)
        for action, actor, subject, details in base.with_database(events)
        if action.startswith("account.") and actor is None and subject == user_id
    ]
    assert written == [
        (
            "account.deactivated",
            {"changes": {"is_active": {"before": True, "after": False}}, "by": "command"},
        ),
        (
            "account.activated",
            {"changes": {"is_active": {"before": False, "after": True}}, "by": "command"},
        ),
    ]


def test_last_active_superuser_stays(call: Callable[..., Any]) -> None:
    account("root@example.com", is_superuser=True)
    refused = run(commands, ["accounts", "deactivate", "root@example.com"])
    assert refused.exit_code == 1
    (said,) = [line for line in refused.stderr.splitlines() if "[warning" not in line]
    assert said.startswith("ACCOUNT: ")
    assert found("--superuser", "--active") == ["root@example.com"]
    account("other@example.com", is_superuser=True)
    assert run(commands, ["accounts", "deactivate", "root@example.com"]).exit_code == 0
    assert base.with_database(events)[0].action == "account.deactivated"


@pytest.mark.parametrize("command", ["show", "deactivate", "reactivate"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nobody@example.com", "ACCOUNT: no account has the address nobody@example.com\n"),
        ("nobody", "ACCOUNT: must be an e-mail address or an id\n"),
        (NOBODY, "ACCOUNT: The account does not exist\n"),
    ],
)
def test_unknown_account_is_named(
    call: Callable[..., Any], command: str, given: str, message: str
) -> None:
    result = run(commands, ["accounts", command, given, "--json"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(message)
    assert base.with_database(events) == []


def test_wrong_arguments_are_explained(call: Callable[..., Any]) -> None:
    for arguments, code, message in [
        (["find", "--cursor", "x"], 1, "--cursor: is not a cursor of this list"),
        (["find", "--limit", "0"], 2, "--limit"),
        (["show"], 2, "ACCOUNT"),
    ]:
        result = run(commands, ["accounts", *arguments])
        assert result.exit_code == code, (arguments, result.output)
        assert message in result.stderr


def test_address_in_a_special_domain_is_accepted_by_each_command(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    account("ada@corp.local")
    monkeypatch.setenv("AUTH_EMAIL_ALLOW_SPECIAL_DOMAINS", "true")
    try:
        for command in (["revoke-sessions"], ["accounts", "show"], ["accounts", "deactivate"]):
            # As in a new process.
            emails.allow_special_domains(False)
            result = run(commands, [*command, "ada@corp.local"])
            assert result.exit_code == 0, result.output
    finally:
        emails.allow_special_domains(False)


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (["revoke-sessions", "nobody@example.com"], "", "ACCOUNT: no account has"),
        (["revoke-sessions", "nobody"], "", "ACCOUNT: must be"),
        (["revoke-sessions", str(uuid.UUID(int=1))], "", "ACCOUNT: The account does not exist"),
        (["reset-password", "nobody@example.com"], "", "ACCOUNT: no account has"),
        (["reset-password", "a@example.com", "--password-stdin"], "short", "The password must"),
        (
            ["reset-password", "a@example.com", "--password-stdin"],
            "password" * 2,
            "The password is",
        ),
        (
            ["reset-password", "a@example.com", "--password-stdin"],
            "correct horse battery staple \xe9".encode("latin-1"),
            "The password must be text in UTF-8",
        ),
        (
            ["reset-password", "a@example.com", "--password-stdin"],
            "correct horse\0battery staple",
            "The password must not contain NUL",
        ),
        (["accounts", "find", "\udcff"], "", "PART: must be printable text"),
    ],
)
def test_impossible_operation_is_explained(
    call: Callable[..., Any], arguments: list[str], typed: str | bytes, message: str
) -> None:
    account("a@example.com")
    result = run(commands, arguments, input=typed)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)


def test_database_that_cannot_be_used_is_explained(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = urlsplit(empty_database_url).path.removeprefix("/")
    for url, said in (
        (empty_database_url.replace(f"/{name}", "/absent"), 'database "absent" does not exist'),
        (empty_database_url.replace("//postgres:", "//nobody:"), "nobody"),
    ):
        monkeypatch.setenv("DATABASE_URL", url)
        result = run(commands, ["accounts", "find"])
        assert result.exit_code == 1
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("DATABASE_URL:")]
        assert said in line
