"""Each page of the console, and each action, against real servers."""

import uuid
from datetime import UTC, date, datetime
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert, select, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.models import AuditEvent, DayStatistics, Job, User
from fastapi_base.schemas.jobs.job import WordCountRequest
from fastapi_base.services import words
from fastapi_base.services.jobs.enqueue import enqueue
from tests.integration.accounts import log_in, new_user
from tests.integration.console.visiting import ADMIN, Visitor
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox
from tests.integration.queries import counted

pytestmark = pytest.mark.anyio
ADA = "ada@example.com"
# A script, a right-to-left override, umlauts.
HOSTILE = "<script>alert('x')</script>\u202egnp.exe Jürgen \"Größe\" {{7*7}}"


async def events(database: RolledBackDatabase, action: str) -> list[dict[str, Any]]:
    """The events with this action: their actor, origin and details."""
    statement = select(
        col(AuditEvent.actor_id), col(AuditEvent.address), col(AuditEvent.details)
    ).where(col(AuditEvent.action) == action)
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(statement)).mappings()]


async def id_of(database: RolledBackDatabase, email: str) -> uuid.UUID:
    async with database.read() as connection:
        found = await connection.scalar(select(col(User.id)).where(col(User.email) == email))
    assert found
    return found


async def new_job(database: RolledBackDatabase, text: str, **values: Any) -> uuid.UUID:
    async with database.transaction() as session:
        job = await enqueue(session, words.WORD_COUNT, WordCountRequest(text=text))
        if values:
            await session.exec(update(Job).where(col(Job.id) == job.id).values(values))
    return job.id


async def test_accounts_are_found_and_deactivated(
    operator: Visitor, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, ADA)
    await new_user(client, "bob@example.com")
    async with database.transaction() as session:
        # The API refuses such a name.
        await session.exec(update(User).where(col(User.email) == ADA).values(display_name=HOSTILE))
    await operator.open("/accounts?is_active=&created_from=2020-01-01&is_superuser=true")
    assert ADMIN in operator.text
    assert ADA not in operator.text
    # No index serves both.
    reply = await operator.open("/accounts?email_prefix=ad&created_from=2020-01-01")
    assert reply.status_code == 422
    await operator.open("/accounts?email_prefix=ad&is_active=")
    assert "bob@" not in operator.text
    assert HOSTILE in operator.text
    await operator.open(f"/accounts?email_prefix={await id_of(database, ADA)}")
    assert operator.path == f"/console/accounts/{await id_of(database, ADA)}"

    await operator.follow("Deactivate")
    await operator.send("Deactivate")
    assert "The account is deactivated" in operator.text
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401
    (event,) = await events(database, "account.deactivated")
    assert event["actor_id"] == await id_of(database, ADMIN)
    assert event["address"] == "127.0.0.1"
    assert "account.deactivated" in operator.text
    await operator.follow("Reactivate")
    await operator.send("Reactivate")
    assert "active again" in operator.text
    # The last superuser stays, and the page says why.
    await operator.open(f"/accounts/{await id_of(database, ADMIN)}/deactivate")
    reply = await operator.send("Deactivate")
    assert reply.status_code == 409


async def test_sessions_are_ended_and_profiles_show_keys(
    operator: Visitor, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, ADA)
    body = {"name": "nightly <b>", "scopes": ["profile:read"]}
    assert (await client.post("/api/v1/api-keys", json=body, headers=headers)).is_success
    await operator.open(f"/accounts/{await id_of(database, ADA)}")
    assert "nightly <b>" in operator.text
    await operator.follow("End sessions")
    await operator.send("End the sessions")
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401
    ended = [one for one in await events(database, "sessions.ended") if one["actor_id"]]
    assert ended[-1]["details"] == {"reason": "by-superuser", "count": 1}
    assert "End sessions" not in operator.text


class TestMail:
    @pytest.fixture
    def settings(self, settings: Settings, inbox: Inbox) -> Settings:
        return settings.model_copy(update={"mail": inbox.settings})

    async def test_reset_is_mailed_and_audited(
        self,
        operator: Visitor,
        client: httpx2.AsyncClient,
        database: RolledBackDatabase,
        inbox: Inbox,
    ) -> None:
        await new_user(client, ADA)
        await operator.open(f"/accounts/{await id_of(database, ADA)}")
        await operator.follow("Send password reset")
        await operator.send("Send a password reset")
        await inbox.next(ADA, "password")
        found = await events(database, "password-reset.requested")
        assert [one["details"] for one in found] == [{"by": "superuser"}]
        assert found[0]["actor_id"] == await id_of(database, ADMIN)
        await operator.open(f"/accounts/{await id_of(database, ADA)}/deactivate")
        await operator.send("Deactivate")
        page = f"/accounts/{await id_of(database, ADA)}"
        reply = await operator.post(f"{page}/reset-password")
        assert reply.status_code == 409


async def test_reset_without_mail_is_refused(
    operator: Visitor, database: RolledBackDatabase
) -> None:
    await operator.open(f"/accounts/{await id_of(database, ADMIN)}/reset-password")
    reply = await operator.send("Send a password reset")
    assert reply.status_code >= 400
    assert not await events(database, "password-reset.requested")


async def test_jobs_are_retried_and_cancelled(
    operator: Visitor, database: RolledBackDatabase
) -> None:
    waiting = await new_job(database, "a secret text")
    failed = await new_job(database, "x", state="failed", error=HOSTILE, attempt=8)
    other = await new_job(database, "x", state="failed", error="boom", attempt=8)
    await operator.open("/jobs?status=failed&kind=word-count")
    assert str(failed) in operator.reply.text
    assert str(waiting) not in operator.reply.text
    assert "fastapi-base due 1" in operator.text
    assert HOSTILE in operator.text
    await operator.open(f"/jobs/{waiting}")
    assert "secret" not in operator.text
    assert '"text": "[text of 13 characters]"' in operator.text
    await operator.send("Cancel")
    assert "The job is cancelled" in operator.text
    await operator.open(f"/jobs/{failed}")
    assert HOSTILE in operator.text
    await operator.send("Retry")
    assert "The job runs again" in operator.text
    # Another operator was faster.
    reply = await operator.post(f"/jobs/{failed}/retry")
    assert reply.status_code == 409
    assert "Only failed or cancelled jobs can be retried" in operator.text

    await operator.open("/jobs")
    await operator.follow("Retry all")
    assert "1 failed jobs of the kind word-count" in operator.text
    await operator.send("Retry all")
    async with database.read() as connection:
        state = await connection.scalar(select(col(Job.state)).where(col(Job.id) == other))
    assert state == "queued"
    me = await id_of(database, ADMIN)
    for action in ("job.cancelled", "job.retried", "jobs.retried"):
        (event,) = await events(database, action)
        assert (event["actor_id"], event["details"]["by"]) == (me, "superuser"), action


async def test_schedules_are_paused_resumed_and_run(
    operator: Visitor, database: RolledBackDatabase
) -> None:
    await operator.open("/schedules")
    assert operator.text.count("Pause") >= 3
    assert "10 0 * * *" in operator.text
    reply = await operator.post("/schedules/statistics/pause")
    assert "The schedule is paused" in operator.text
    assert "Resume" in operator.text
    await operator.post("/schedules/statistics/resume")
    assert "Resume" not in operator.text
    await operator.post("/schedules/statistics/run")
    assert operator.path.startswith("/console/jobs/")
    assert '"day": "20' in operator.text
    await operator.open("/schedules")
    reply = await operator.post("/schedules/none/run")
    assert reply.status_code == 404
    me = await id_of(database, ADMIN)
    assert {one["actor_id"] for one in await events(database, "schedule.changed")} == {me}
    (run,) = await events(database, "schedule.run")
    assert run["details"]["by"] == "superuser"


async def test_audit_log_names_accounts_and_has_pages(
    operator: Visitor, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await new_user(client, ADA)
    await operator.open("/audit?limit=1&action=account.registered")
    first = operator.text
    await operator.follow("Next page")
    assert operator.text != first
    await operator.follow("Previous page")
    assert [word for word in first.split() if "@" in word] == [
        word for word in operator.text.split() if "@" in word
    ]
    await operator.open(f"/audit?actor_id={await id_of(database, ADMIN)}")
    assert "login.succeeded" in operator.text
    assert ADA not in operator.text
    reply = await operator.open("/audit?actor_id=ada")
    assert reply.status_code == 422


async def test_statistics_have_charts_and_a_table(
    operator: Visitor, database: RolledBackDatabase
) -> None:
    await operator.open("/statistics")
    assert "No day has been counted" in operator.text
    async with database.transaction() as session:
        for day, count in ((1, 1000), (2, 0), (3, 500)):
            await session.exec(
                insert(DayStatistics).values(
                    day=date(2026, 1, day),
                    figures={"accounts_active": count},
                    computed_at=datetime(2026, 1, 4, tzinfo=UTC),
                )
            )
    await operator.open("/statistics")
    assert "accounts active at most 1,000 a day" in operator.text
    heights = [part.split('"')[0] for part in operator.reply.text.split('height="')[1:]]
    assert heights == ["100.0", "0.0", "50.0"]


async def test_mails_are_jobs_of_their_kind(
    operator: Visitor, database: RolledBackDatabase
) -> None:
    await new_job(database, "x")
    payload = {"kind": "reset", "values": {"email": "victim@example.com"}}
    await new_job(database, "x", kind="mail", state="failed", error="refused", payload=payload)
    await operator.open("/mails?status=failed")
    assert "refused" in operator.text
    assert "word-count" not in operator.text
    assert "Mail is disabled" in operator.text
    await operator.follow("mail")
    assert "victim" not in operator.reply.text


async def test_system_page_hides_secrets(operator: Visitor) -> None:
    await operator.open("/system")
    assert "database ok" in operator.text
    assert "redis ok" in operator.text
    assert "AUTH_JWT_SECRET [hidden]" in operator.text
    assert "DATABASE_URL [hidden]" in operator.text
    assert "CONSOLE_PATH /console" in operator.text
    assert "postgres:" not in operator.reply.text


# The statement that checks the session included.
STATEMENTS = {
    "/accounts": 2,
    "/jobs": 4,
    "/schedules": 2,
    "/mails": 2,
    "/flags": 1,
    "/audit": 3,
    "/statistics": 2,
    "/system": 3,
}


async def test_pages_send_a_constant_number_of_statements(
    operator: Visitor, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, ADA)
    profile = f"/accounts/{await id_of(database, ADA)}"
    for _ in range(2):
        for page, count in (STATEMENTS | {profile: 7}).items():
            with counted() as statements:
                await operator.open(page)
            assert len(statements) == count, (page, statements)
        for number in range(3):
            await new_user(client, f"user{number}@example.com")
            await new_job(database, "x", state="failed")
            await log_in(client, ADA)
            body = {"name": "x", "scopes": ["profile:read"]}
            await client.post("/api/v1/api-keys", json=body, headers=headers)
