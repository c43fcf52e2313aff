"""Accounts that their owners deactivate or delete, and the data that remains."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, text, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.models import AuditEvent, LoginSession, OneTimeToken, User
from fastapi_base.services.privacy.purge import purge
from tests.integration.accounts import PASSWORD, bearer, confirmed_user, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
LAST = "urn:fastapi-base:last-superuser"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with a mail server."""
    return settings.model_copy(update={"mail": inbox.settings})


async def end(
    client: httpx2.AsyncClient, headers: dict[str, str], how: str, password: str = PASSWORD
) -> httpx2.Response:
    body = {"current_password": password}
    return await client.post(f"/api/v1/users/me/{how}", json=body, headers=headers)


@pytest.mark.parametrize(
    ("how", "status", "told"),
    [
        ("deactivation", 204, "Your account was deactivated"),
        ("deletion", 202, "Your account will be deleted"),
    ],
)
async def test_owner_deactivates_and_reactivates_the_account(
    client: httpx2.AsyncClient, inbox: Inbox, how: str, status: int, told: str
) -> None:
    headers = await new_user(client, ADA)
    assert (await end(client, headers, how, "wrong")).status_code == 403
    assert (await end(client, headers, how)).status_code == status
    await inbox.next(ADA, told)
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401
    assert (await log_in(client, ADA, "wrong")).status_code == 401
    back = await log_in(client, ADA)
    assert back.status_code == 200
    await inbox.next(ADA, "Your account is active again")
    headers = bearer(back)
    assert (await client.get("/api/v1/users/me", headers=headers)).json()["is_active"]


async def test_account_deactivated_by_a_superuser_stays_deactivated(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await register(client, ADA)
    async with database.transaction() as session:
        await session.exec(update(User).values(is_active=False))
    assert (await log_in(client, ADA)).status_code == 401


async def test_deleted_account_leaves_no_personal_data(
    client: httpx2.AsyncClient, database: RolledBackDatabase, settings: Settings
) -> None:
    client.headers["User-Agent"] = "Phone/1.0"
    await register(client, "grace@example.com")
    headers = await new_user(client, ADA)
    me = (await client.get("/api/v1/users/me", headers=headers)).json()["id"]
    when = (await end(client, headers, "deletion")).json()["delete_after"]
    assert timedelta(13) < datetime.fromisoformat(when) - datetime.now(UTC) < timedelta(15)
    assert (await purge(database, settings))["users"] == 0
    async with database.transaction() as session:
        await session.exec(
            update(User)
            .where(col(User.email) == ADA)
            .values(delete_after=datetime.now(UTC) - timedelta(seconds=1))
        )
    assert (await purge(database, settings))["users"] == 1
    async with database.read() as connection:
        assert list(await connection.scalars(select(col(User.email)))) == ["grace@example.com"]
        for table in [LoginSession, OneTimeToken]:
            left = select(func.count()).where(table.__table__.c.user_id == me)  # type: ignore[attr-defined]
            assert await connection.scalar(left) == 0
        columns = AuditEvent.__table__.columns  # type: ignore[attr-defined]
        events = list((await connection.execute(select(*columns))).mappings())
    mine = [event for event in events if str(event["subject_id"]) == me]
    assert {"login.succeeded", "account.deletion-asked", "account.deleted"} <= {
        event["action"] for event in mine
    }
    assert {(event["address"], event["user_agent"]) for event in mine} == {(None, None)}
    others = [event for event in events if event not in mine]
    assert {event["user_agent"] for event in others} == {"Phone/1.0"}
    assert (await log_in(client, ADA)).status_code == 401


@pytest.mark.parametrize(
    "change", ["address = NULL, user_agent = NULL", "address = '192.0.2.1'", "details = '{}'"]
)
async def test_origin_of_an_existing_account_cannot_be_erased(
    client: httpx2.AsyncClient, database: RolledBackDatabase, change: str
) -> None:
    await register(client, ADA)

    async def tamper() -> None:
        async with database.transaction() as session:
            await session.execute(text(f"UPDATE audit_events SET {change}"))

    with pytest.raises(Exception, match="audit_events can only be added to"):
        await tamper()


@pytest.mark.parametrize("how", ["deactivation", "deletion"])
async def test_last_superuser_is_protected(
    client: httpx2.AsyncClient, database: RolledBackDatabase, how: str
) -> None:
    first = await new_user(client, ADA)
    second = await new_user(client, "grace@example.com")
    async with database.transaction() as session:
        await session.exec(update(User).values(is_superuser=True))
    replies = await asyncio.gather(end(client, first, how), end(client, second, how))
    refused = [reply for reply in replies if reply.status_code == 409]
    assert len(refused) == 1
    assert refused[0].json()["type"] == LAST


async def test_login_from_a_new_network_is_notified_once(
    client: httpx2.AsyncClient, elsewhere: httpx2.AsyncClient, inbox: Inbox
) -> None:
    told = "Your password was used from a new network"
    await confirmed_user(client, inbox, ADA)
    await log_in(client, ADA)
    assert told not in inbox.subjects(ADA)
    for _ in range(2):
        await log_in(elsewhere, ADA, "wrong")
        await log_in(elsewhere, ADA)
        await log_in(client, ADA)
    assert inbox.subjects(ADA).count(told) == 1


async def test_many_failed_logins_are_notified_once_per_period(
    client: httpx2.AsyncClient, inbox: Inbox, settings: Settings
) -> None:
    await new_user(client, ADA)
    most = settings.throttle.notice_attempts
    replies: list[Any] = []
    for number in range(most * 2 + 1):
        for email in [ADA, "nobody@example.com"]:
            replies.append((await log_in(client, email, f"guess {number}")).status_code)
        told = "Many failed logins to your account" in inbox.subjects(ADA)
        assert told is (number >= most - 1)
    assert set(replies) == {401}
    assert inbox.subjects(ADA).count("Many failed logins to your account") == 1
    assert inbox.subjects("nobody@example.com") == []


@pytest.mark.parametrize("how", ["deactivation", "deletion"])
async def test_superuser_deactivation_overrides_the_owners(
    client: httpx2.AsyncClient, database: RolledBackDatabase, how: str, settings: Settings
) -> None:
    headers = await new_user(client, ADA)
    me = (await client.get("/api/v1/users/me", headers=headers)).json()["id"]
    superuser = await new_user(client, "grace@example.com")
    async with database.transaction() as session:
        await session.exec(
            update(User).where(col(User.email) == "grace@example.com").values(is_superuser=True)
        )
    assert (await end(client, headers, how)).is_success
    for action, status in [("deactivate", 401), ("activate", 200)]:
        url = f"/api/v1/users/{me}/{action}"
        assert (await client.post(url, headers=superuser)).is_success
        assert (await log_in(client, ADA)).status_code == status
        async with database.read() as connection:
            kept = select(col(User.deactivated_at), col(User.delete_after))
            row = (await connection.execute(kept.where(col(User.email) == ADA))).one()
        assert tuple(row) == (None, None)
    assert (await purge(database, settings))["users"] == 0
