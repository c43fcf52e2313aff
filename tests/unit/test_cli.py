"""The operators' commands that need no server."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fastapi_base.cli.main import app
from fastapi_base.core.config import AuthSettings
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.tokens import TokenCodec

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:9/none")
    return tmp_path


def test_help_lists_the_commands() -> None:
    result = run(app, ["--help"])
    assert result.exit_code == 0
    for command in [
        "migrate",
        "create-admin",
        "openapi",
        "make-migration",
        "rotate-keys",
        "reset-password",
        "revoke-sessions",
        "accounts",
        "flags",
        "audit",
    ]:
        assert command in result.output


def leaves(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """The names of all commands, with their groups."""
    for name, one in getattr(command, "commands", {}).items():
        yield from leaves(one, *path, name)
    if not hasattr(command, "commands"):
        yield path


def test_every_command_explains_itself_and_prints_json() -> None:
    # A process, a text of steps, and a document already.
    others = {("relay",), ("rotate-keys",), ("openapi",)}
    found = set(leaves(get_command(app)))
    assert len(found) > 25
    for command in found:
        result = run(app, [*command, "--help"])
        assert result.exit_code == 0
        assert ("--json" in result.output) == (command not in others), command


@pytest.mark.parametrize("command", [["migrate"], ["make-migration", "x"], ["create-admin"]])
def test_unavailable_database_is_reported_in_one_sentence(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST_ADMIN_EMAIL", "root@example.com")
    monkeypatch.setenv("FIRST_ADMIN_PASSWORD", "correct horse battery")
    result = run(app, command)
    assert result.exit_code == 1
    # Apart from the warnings about development keys that every process logs.
    (said,) = [line for line in result.stderr.splitlines() if "[warning" not in line]
    assert said.startswith("DATABASE_URL: the database does not answer")


@pytest.mark.parametrize(
    ("email", "password", "name"),
    [
        ("", "", "FIRST_ADMIN_EMAIL and FIRST_ADMIN_PASSWORD"),
        ("root@example.com", "short", "FIRST_ADMIN_PASSWORD"),
    ],
)
def test_admin_command_with_invalid_settings(
    email: str, password: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST_ADMIN_EMAIL", email)
    monkeypatch.setenv("FIRST_ADMIN_PASSWORD", password)
    result = run(app, ["create-admin"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{name}: ")


def test_unsafe_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    result = run(app, ["openapi"])
    assert result.exit_code == 1
    assert "AUTH_JWT_SECRET: production requires" in result.stderr


def test_openapi_goes_to_a_file_or_to_standard_output(folder: Path) -> None:
    run(app, ["openapi", "--output", "api.json"])
    written = json.loads((folder / "api.json").read_text())
    assert written["openapi"].startswith("3.1")
    assert json.loads(run(app, ["openapi"]).stdout) == written


def test_settings_are_read_from_a_file(folder: Path) -> None:
    (folder / ".env").write_text("API_PORT=none\n")
    result = run(app, ["openapi"])
    assert result.exit_code == 1
    assert "API_PORT: " in result.stderr


def test_rotate_keys_prints_the_settings_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of each step: tokens of the previous step are accepted throughout."""
    old = "a-secret-of-its-own-with-more-than-32-bytes"
    monkeypatch.setenv("AUTH_JWT_SECRET", old)
    output = run(app, ["rotate-keys"]).output
    accepted = re.findall(r"AUTH_JWT_ACCEPTED_SECRETS=(\S*)", output)
    (new,) = re.findall(r"AUTH_JWT_SECRET=(\S+)", output)
    assert accepted == [new, old, ""]
    assert new != old
    steps = [(old, ""), (old, new), (new, old), (new, "")]
    codecs = [
        TokenCodec(
            AuthSettings.model_validate({"jwt_secret": sign, "jwt_accepted_secrets": accept or ()})
        )
        for sign, accept in steps
    ]
    for one, following in pairwise(codecs):
        user, session = uuid7(), uuid7()
        assert following.read(one.issue(user, session).value).user_id == user
