"""The operators' commands on schedules."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from fastapi_base.cli.main import app as commands
from tests.integration.test_job_commands import Jobs


@pytest.fixture
def jobs(fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    return Jobs(fresh_database_url)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(commands, ["schedule", *arguments])


def listed() -> dict[str, list[str]]:
    """The columns after the name, by schedule."""
    result = run("list")
    assert result.exit_code == 0, result.output
    head, *lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert head == ["name", "when", "from", "missed", "next", "last"]
    return {line[0]: line[1:] for line in lines}


def test_list_shows_declared_schedules_before_any_beat_ran(jobs: Jobs) -> None:
    known = listed()
    assert known["purge"][:3] == ["every 1h", "code", "once"]
    assert known["purge"][3].endswith(":00:00+00:00")
    assert known["purge"][4] == "never"
    assert known["heartbeat"][:3] == ["every 30s", "code", "skip"]
    assert jobs.rows("SELECT * FROM schedules") == []


def test_times_are_overridden_and_reset(jobs: Jobs) -> None:
    changed = run("set", "purge", "30 2 * * * Europe/Berlin")
    assert changed.exit_code == 0, changed.output
    assert changed.stdout.startswith("purge: next at 20")
    assert listed()["purge"][:2] == ["30 2 * * * Europe/Berlin", "override"]
    assert run("reset", "purge").exit_code == 0
    assert listed()["purge"][:2] == ["every 1h", "code"]
    assert [action for action, _ in jobs.audited()] == ["schedule.changed"] * 2


def test_schedule_is_disabled_and_enabled(jobs: Jobs) -> None:
    off = run("disable", "purge")
    assert (off.exit_code, off.stdout) == (0, "purge: disabled\n")
    assert listed()["purge"][3] == "disabled"
    on = run("enable", "purge")
    assert on.stdout.startswith("purge: enabled, next at 20")
    assert jobs.rows("SELECT enabled FROM schedules") == [(True,)]
    changes = [details["changes"]["enabled"] for _, details in jobs.audited()]
    assert changes == [{"before": True, "after": False}, {"before": False, "after": True}]


def test_schedule_is_run_now(jobs: Jobs) -> None:
    done = run("run", "purge")
    assert done.exit_code == 0, done.output
    ((job, kind, state),) = jobs.rows("SELECT id, kind, state FROM jobs")
    assert (kind, state, done.stdout) == ("purge", "queued", f"purge: job {job} queued\n")
    again = run("run", "purge")
    said = f"purge: The previous run has not finished: job {job}\n"
    assert (again.exit_code, again.stderr) == (1, said)
    assert jobs.audited() == [
        ("schedule.run", {"schedule": "purge", "job": str(job), "by": "command"})
    ]


def test_documents_have_the_same_contents(jobs: Jobs) -> None:
    def printed(*arguments: str) -> Any:
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def stored() -> Any:
        (purge,) = [one for one in printed("list") if one["name"] == "purge"]
        return purge

    purge = stored()
    assert (purge["when"], purge["overridden"], purge["last_at"]) == ("every 1h", False, None)
    # Its next run is on the first of a month, at any time of the test.
    changed = printed("set", "purge", "0 0 1 * *")
    assert changed == {"name": "purge", "next_at": stored()["next_at"]}
    assert changed["next_at"][7:] == "-01T00:00:00Z"
    assert printed("disable", "purge") == {"name": "purge", "next_at": None}
    assert printed("enable", "purge") == changed
    assert printed("reset", "purge") == {"name": "purge", "next_at": stored()["next_at"]}
    queued = printed("run", "purge")
    assert jobs.rows("SELECT id::text, kind FROM jobs") == [(queued["job"], queued["name"])]


def test_impossible_operation_is_explained(jobs: Jobs) -> None:
    for arguments, code, message in [
        (("set", "purge", "every day"), 1, "WHEN: 'every day' is invalid: an interval must be"),
        (("set", "purge", "0 25 * * *"), 1, "is invalid: bad hour\n"),
        (("set", "purge", "0 3 * * * Mars/North"), 1, "the time zone Mars/North does not exist\n"),
        (("set", "purge", "0 0 31 4 *"), 1, "is invalid: bad day-of-month\n"),
        (
            ("set", "nite", "every 1h"),
            1,
            "NAME: the schedule nite does not exist. Schedules: heartbeat",
        ),
        (("disable", "nite"), 1, "NAME: the schedule nite does not exist"),
        (("run", "heartbeat"), 1, "heartbeat: The schedule sends a heartbeat"),
        (("set", "purge"), 2, "WHEN"),
    ]:
        result = run(*arguments)
        assert result.exit_code == code, (arguments, result.output)
        assert message in result.stderr
    assert jobs.rows("SELECT * FROM schedules") == jobs.audited() == []
