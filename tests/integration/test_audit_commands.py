"""The operators' commands on the audit log."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from fastapi_base.cli.main import app as commands
from tests.integration.test_job_commands import NOBODY, Jobs

ADA = "0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c66"
ADD = """
    INSERT INTO audit_events (id, occurred_at, action, actor_id, subject_id, details)
    VALUES (gen_random_uuid(), now() - interval '{ago}', '{action}', {actor}, {subject}, '{{}}')
    RETURNING id
"""


@pytest.fixture
def log(fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """A log with three events: of a minute, of an hour and of two days ago."""
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    rows = Jobs(fresh_database_url)
    rows.rows(
        f"INSERT INTO users (id, email, password_hash) VALUES ('{ADA}', 'ada@example.com', 'x')"
        " RETURNING id"
    )
    for ago, action, actor, subject in [
        ("1 minute", "account.changed", f"'{NOBODY}'", f"'{ADA}'"),
        ("1 hour", "login.succeeded", f"'{ADA}'", f"'{ADA}'"),
        ("2 days", "login.failed", "NULL", f"'{NOBODY}'"),
    ]:
        rows.rows(ADD.format(ago=ago, action=action, actor=actor, subject=subject))
    return rows


def run(*arguments: str) -> Any:
    return CliRunner().invoke(commands, ["audit", "list", *arguments])


def actions(*arguments: str) -> list[str]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return [event["action"] for event in json.loads(result.stdout)["items"]]


def test_events_are_filtered_newest_first(log: Jobs) -> None:
    every = ["account.changed", "login.succeeded", "login.failed"]
    assert actions() == every
    assert actions("--account", "Ada@example.com") == actions("--account", ADA) == every[:2]
    # The account was removed, its events were not.
    assert actions("--account", NOBODY) == every[2:]
    assert actions("--actor", "ada@example.com") == ["login.succeeded"]
    assert actions("--action", "login.failed") == ["login.failed"]
    assert actions("--since", "30m") == every[:1]
    assert actions("--since", "1d") == actions("--since", "1d", "--limit", "2") == every[:2]
    assert actions("--since", "2026-01-31") == every
    assert actions("--since", "2999-01-31T12:00:00Z") == []


def test_pages_continue_at_the_cursor(log: Jobs) -> None:
    first = run("--limit", "2", "--since", "7d")
    head, *lines = [line.split("\t") for line in first.stdout.splitlines()]
    assert head == ["occurred_at", "action", "actor_id", "subject_id", "address", "details"]
    assert [line[1:] for line in lines] == [
        ["account.changed", NOBODY, ADA, "", "{}"],
        ["login.succeeded", ADA, ADA, "", "{}"],
    ]
    cursor = first.stderr.splitlines()[-1].removeprefix("There are more entries: --cursor ")
    assert actions("--limit", "2", "--since", "7d", "--cursor", cursor) == ["login.failed"]


def test_wrong_filter_is_explained(log: Jobs) -> None:
    for arguments, code, message in [
        (("--account", "nobody@example.com"), 1, "no account has the address nobody@example.com"),
        (("--since", "yesterday"), 1, "--since: 'yesterday' is neither a duration"),
        (("--since", "99999999999d"), 1, "--since: '99999999999d' is neither a duration"),
        (("--action", "login.wrong"), 2, "--action"),
    ]:
        result = run(*arguments)
        assert result.exit_code == code, (arguments, result.output)
        assert message in result.stderr
        assert result.stdout == ""
