"""The operators' commands on jobs."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from typer.testing import CliRunner

from fastapi_base.cli.main import app as commands
from fastapi_base.core.ids import uuid7

NOBODY = "0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"
ADD = """
    INSERT INTO jobs (id, kind, version, payload, queue, priority, state, attempt, max_attempts,
                      finished_at, error)
    VALUES (:id, :kind, 1, '{"secret": "hush"}', :queue, 5, :state, 3, 3,
            CASE WHEN :over THEN now() END, :error)
"""


class Jobs:
    """The jobs of a database, and the commands on them."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(url, poolclass=NullPool)

    def _go[T](self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async def go() -> T:
            async with self._engine.begin() as connection:
                return await work(connection)

        return asyncio.run(go())

    def add(
        self,
        state: str,
        kind: str = "note",
        queue: str = "fastapi-base",
        error: str | None = None,
    ) -> str:
        """Add a job in this state."""
        job = uuid7()
        over = state not in ("queued", "running")
        values: dict[str, object] = {"id": job, "kind": kind, "queue": queue}
        values |= {"state": state, "over": over, "error": error}
        self._go(lambda connection: connection.execute(text(ADD), values))
        return str(job)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of the query."""

        async def work(connection: AsyncConnection) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await connection.execute(text(query))]

        return self._go(work)

    def states(self) -> dict[str, str]:
        """The state of each job."""
        return {str(job): state for job, state in self.rows("SELECT id, state FROM jobs")}

    def audited(self) -> list[tuple[Any, ...]]:
        """The contents of the audit log."""
        return self.rows("SELECT action, details FROM audit_events ORDER BY id")


@pytest.fixture
def jobs(fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    return Jobs(fresh_database_url)


def run(*arguments: str, typed: str = "") -> Any:
    return CliRunner().invoke(commands, ["jobs", *arguments], input=typed)


def listed(*arguments: str) -> set[str]:
    result = run("list", *arguments)
    assert result.exit_code == 0, result.output
    return {line.split("\t")[0] for line in result.stdout.splitlines()[1:]}


def test_list_is_filtered_and_limited(jobs: Jobs) -> None:
    failed = jobs.add("failed", error="broken\n\x1b[2Jpipe\there")
    mail = jobs.add("queued", kind="mail", queue="fastapi-base.mail")
    assert listed() == {failed, mail}
    assert listed("--state", "failed") == {failed}
    assert listed("--kind", "mail") == listed("--queue", "fastapi-base.mail") == {mail}
    assert listed("--kind", "mail", "--state", "failed") == set()
    short = run("list", "--limit", "1")
    assert len(short.stdout.splitlines()) == 2
    assert short.stderr == "There are more jobs; --limit accepts up to 1000.\n"
    line = run("list", "--state", "failed").stdout.splitlines()[1]
    assert line.split("\t")[1:5] == ["failed", "note", "fastapi-base", "3/3"]
    assert line.split("\t")[6] == "broken  [2Jpipe here"


def test_show_hides_the_payload(jobs: Jobs) -> None:
    job = jobs.add("failed", error="broken pipe")
    shown = run("show", job)
    assert shown.exit_code == 0
    assert f"id: {job}\nstate: failed\nkind: note\n" in shown.stdout
    assert "error: broken pipe" in shown.stdout
    assert "hush" not in shown.output


def test_jobs_are_retried_and_cancelled(jobs: Jobs) -> None:
    failed, other, waiting = jobs.add("failed"), jobs.add("failed"), jobs.add("queued")
    again, ended = run("retry", failed), run("cancel", waiting)
    assert (again.exit_code, again.stdout) == (0, f"{failed}: queued\n")
    assert (ended.exit_code, ended.stdout) == (0, f"{waiting}: cancelled\n")
    assert jobs.states() == {failed: "queued", other: "failed", waiting: "cancelled"}
    assert jobs.audited() == [
        ("job.retried", {"job": failed, "by": "command"}),
        ("job.cancelled", {"job": waiting, "by": "command"}),
    ]


def test_documents_have_the_same_contents(jobs: Jobs) -> None:
    failed, waiting = jobs.add("failed", error="broken\npipe"), jobs.add("queued")

    def printed(*arguments: str) -> Any:
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    first = printed("list", "--limit", "1")
    assert ([job["id"] for job in first["items"]], first["more"]) == ([waiting], True)
    every = printed("list")
    assert ([job["id"] for job in every["items"]], every["more"]) == ([waiting, failed], False)
    assert every["items"][1]["error"] == "broken\npipe"
    seen = printed("show", failed)
    assert (seen["attempt"], seen["started_at"]) == (3, None)
    assert "payload" not in seen
    assert printed("retry", failed) == {"id": failed, "state": "queued"}
    assert printed("cancel", failed) == {"id": failed, "state": "cancelled"}
    jobs.add("failed", kind="mail")
    asked = run("retry", "--kind", "mail", "--json", typed="y\n")
    assert "Retry 1 failed jobs of kind mail?" in asked.stderr
    # Click's runner shows there what was typed.
    assert json.loads(asked.stdout.removeprefix(" y\n")) == {"kind": "mail", "retried": 1}


def test_running_job_is_asked_to_cancel(jobs: Jobs) -> None:
    job = jobs.add("running")
    ended = run("cancel", job)
    assert (ended.exit_code, ended.stdout) == (0, f"{job}: cancellation requested\n")
    assert jobs.rows("SELECT cancel_requested_at IS NOT NULL FROM jobs") == [(True,)]


def test_dead_letters_of_a_kind_are_retried_after_confirmation(jobs: Jobs) -> None:
    dead = [jobs.add("failed") for _ in range(3)]
    left = {jobs.add("cancelled"): "cancelled", jobs.add("failed", kind="mail"): "failed"}
    before = jobs.states()
    refused = run("retry", "--kind", "note", typed="n\n")
    assert refused.exit_code == 1
    assert "Retry 3 failed jobs of kind note?" in refused.output
    assert (jobs.states(), jobs.audited()) == (before, [])
    agreed = run("retry", "--kind", "note", "--yes")
    assert (agreed.exit_code, agreed.stdout) == (0, "note: jobs requeued: 3\n")
    assert jobs.states() == left | dict.fromkeys(dead, "queued")
    # All attempts are available again.
    assert jobs.rows("SELECT DISTINCT attempt, max_attempts FROM jobs WHERE state = 'queued'") == [
        (0, 3)
    ]
    assert jobs.audited() == [("jobs.retried", {"kind": "note", "count": 3, "by": "command"})]


@pytest.mark.parametrize("command", ["show", "retry", "cancel"])
def test_unknown_job_is_named(jobs: Jobs, command: str) -> None:
    result = run(command, NOBODY)
    assert (result.exit_code, result.stderr) == (1, f"{NOBODY}: The job does not exist\n")
    assert jobs.audited() == []


def test_impossible_operation_is_explained(jobs: Jobs) -> None:
    done = jobs.add("succeeded")
    jobs.add("failed")
    states = jobs.states()
    for arguments, code, message in [
        (("retry", done), 1, f"{done}: Only failed or cancelled jobs can be retried"),
        (("cancel", done), 1, f"{done}: The job is already finished: succeeded"),
        (("retry", "--kind", "nite", "--yes"), 1, "Kinds with failed jobs: note (1)"),
        (("retry",), 2, "exactly one of JOB_ID and --kind is required"),
        (("retry", done, "--kind", "note"), 2, "exactly one of JOB_ID and --kind is required"),
        (("show", "seven"), 2, "JOB_ID"),
        (("list", "--state", "lost"), 2, "--state"),
        (("list", "--limit", "0"), 2, "--limit"),
    ]:
        result = run(*arguments)
        assert result.exit_code == code, (arguments, result.output)
        assert message in result.stderr
    assert (jobs.states(), jobs.audited()) == (states, [])
