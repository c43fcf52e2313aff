"""The operators' commands on feature flags."""

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from fastapi_base.cli.main import app as commands
from fastapi_base.services.flags.flags import CHANNEL
from tests.integration.test_job_commands import NOBODY, Jobs

ADD = "INSERT INTO users (id, email, password_hash) VALUES ('{id}', '{email}', 'x') RETURNING id"


@pytest.fixture
def rows(fresh_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    return Jobs(fresh_database_url)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(commands, ["flags", *arguments])


def printed(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_flag_is_overridden_and_reset(rows: Jobs) -> None:
    rows.rows(ADD.format(id=NOBODY, email="ada@example.com"))
    assert "read-only\toff\t\t\t\tReject all" in run("list").stdout
    on = run("set", "read-only", "on")
    assert (on.exit_code, on.stdout.splitlines()[2:]) == (
        0,
        ["default: off", "override: on", "percentage: 100", "accounts: []"],
    )
    assert "read-only\toff\ton\t100\t0\tReject all" in run("list").stdout
    some = printed(
        "set",
        "read-only",
        "false",
        "--percentage=12.5",
        "--account=Ada@example.com",
        f"--account={NOBODY}",
    )
    # One account, named twice.
    assert some["override"] == {"value": False, "percentage": 12.5, "user_ids": [NOBODY]}
    assert printed("show", "read-only")["override"]["user_ids"] == [NOBODY]
    assert [flag["name"] for flag in printed("list")] == ["read-only", "word-count"]
    assert printed("reset", "read-only")["override"] is None
    assert rows.rows("SELECT * FROM flag_overrides") == []
    common = {"flag": "read-only", "by": "command"}
    assert rows.audited() == [
        ("feature-flag.changed", common | given)
        for given in (
            {"value": "True", "percentage": "100.0", "accounts": 0},
            {"value": "False", "percentage": "12.5", "accounts": 1},
            {},
        )
    ]


def test_change_is_announced_to_running_processes(rows: Jobs, redis_url: str) -> None:
    async def heard() -> Any:
        async with Redis.from_url(redis_url) as redis, redis.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            await channel.get_message(timeout=30)
            done = await asyncio.to_thread(run, "set", "read-only", "on")
            assert done.exit_code == 0, done.output
            return await channel.get_message(timeout=30)

    assert asyncio.run(heard())["data"] == b"changed"


def test_change_needs_no_redis(rows: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9/0")
    assert printed("set", "read-only", "on")["override"]["value"] is True
    assert printed("show", "read-only")["override"]["value"] is True


def test_impossible_change_is_explained(rows: Jobs) -> None:
    for arguments, code, message in [
        (("set", "read-only", "perhaps"), 1, "VALUE: read-only must be true or false\n"),
        (("set", "reed", "on"), 1, "NAME: the flag reed does not exist. Flags: read-only, word"),
        (("show", "reed"), 1, "NAME: the flag reed does not exist"),
        (("reset", "reed"), 1, "NAME: the flag reed does not exist"),
        (
            ("set", "read-only", "on", "--account", "nobody@example.com"),
            1,
            "--account: no account has the address nobody@example.com\n",
        ),
        (("set", "read-only", "on", "--account", NOBODY), 1, "--account: no account has the id"),
        (("set", "read-only", "on", "--percentage", "101"), 2, "--percentage"),
        (("set", "read-only"), 2, "VALUE"),
    ]:
        result = run(*arguments)
        assert result.exit_code == code, (arguments, result.output)
        assert message in result.stderr
        assert result.stdout == ""
    assert rows.audited() == []
