"""Invitations: created by superusers, accepted once, by the reader of the mailbox."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from fastapi_base.core.config import AuthSettings, Settings
from fastapi_base.core.security.passwords import hash_password
from fastapi_base.models import Invitation, User
from tests.integration.accounts import PASSWORD, bearer, log_in, register
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox

pytestmark = pytest.mark.anyio

ADA, ROOT = "ada@example.com", "root@example.com"
INVITED = "You have been invited"
INVALID = "urn:fastapi-base:invalid-link"
CLOSED = "urn:fastapi-base:registration-closed"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with mail and registration by invitation."""
    auth = AuthSettings(bcrypt_rounds=4, registration="invite-only")
    return settings.model_copy(update={"mail": inbox.settings, "auth": auth})


@pytest.fixture
async def root(client: httpx2.AsyncClient, database: RolledBackDatabase) -> dict[str, str]:
    """A superuser's header."""
    return await a_user(client, database, ROOT, is_superuser=True)


async def a_user(
    client: httpx2.AsyncClient, database: RolledBackDatabase, email: str, **columns: Any
) -> dict[str, str]:
    async with database.transaction() as session:
        session.add(User(email=email, password_hash=hash_password(PASSWORD, 4), **columns))
    return bearer(await log_in(client, email))


async def invite(
    client: httpx2.AsyncClient, headers: dict[str, str], email: str = ADA
) -> httpx2.Response:
    return await client.post("/api/v1/invitations", json={"email": email}, headers=headers)


async def accept(
    client: httpx2.AsyncClient, token: str, email: str = ADA, password: str = PASSWORD
) -> httpx2.Response:
    body = {"email": email, "password": password, "invitation": token}
    return await client.post("/api/v1/auth/register", json=body)


async def test_invited_person_registers_once_and_is_confirmed(
    client: httpx2.AsyncClient, inbox: Inbox, root: dict[str, str]
) -> None:
    refused = await register(client, ADA)
    assert (refused.status_code, refused.json()["type"]) == (403, CLOSED)
    assert (await invite(client, root)).status_code == 201
    token = await inbox.token(ADA, INVITED)
    listed = (await client.get("/api/v1/invitations", headers=root)).json()
    assert [found["email"] for found in listed] == [ADA]
    assert "digest" not in str(listed)
    assert (await accept(client, token, "eve@example.com")).json()["type"] == INVALID
    assert (await accept(client, "inv_" + "A" * 43)).json()["type"] == INVALID
    replies = await asyncio.gather(*(accept(client, token) for _ in range(3)))
    assert sorted(reply.status_code for reply in replies) == [202, 400, 400]
    reply = await log_in(client, ADA)
    headers = bearer(reply)
    me = (await client.get("/api/v1/users/me", headers=headers)).json()
    assert (me["is_verified"], me["is_superuser"]) == (True, False)
    assert (await client.get("/api/v1/invitations", headers=root)).json() == []
    assert (await invite(client, root)).json()["type"] == "urn:fastapi-base:email-taken"


async def test_only_superusers_invite(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await a_user(client, database, ADA)
    nowhere = "/api/v1/invitations/0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"
    for replies in [
        await invite(client, headers, "eve@example.com"),
        await client.get("/api/v1/invitations", headers=headers),
        await client.delete(nowhere, headers=headers),
    ]:
        assert replies.status_code == 403
    assert (await invite(client, {}, "eve@example.com")).status_code == 401


async def test_invitation_is_void_when_revoked_replaced_or_expired(
    client: httpx2.AsyncClient, inbox: Inbox, root: dict[str, str], database: RolledBackDatabase
) -> None:
    first = (await invite(client, root)).json()["id"]
    token = await inbox.token(ADA, INVITED)
    where = f"/api/v1/invitations/{first}"
    assert (await client.delete(where, headers=root)).status_code == 204
    assert (await client.delete(where, headers=root)).status_code == 404
    assert (await accept(client, token)).status_code == 400
    await invite(client, root)
    replaced = await inbox.token(ADA, INVITED)
    await invite(client, root)
    token = await inbox.token(ADA, INVITED)
    assert (await accept(client, replaced)).status_code == 400
    late = datetime.now(UTC) - timedelta(seconds=1)
    async with database.transaction() as session:
        await session.exec(update(Invitation).values(expires_at=late))
    assert (await accept(client, token)).status_code == 400
    assert (await log_in(client, ADA)).status_code == 401


async def test_invitation_expires_by_the_database_clock(
    client: httpx2.AsyncClient, inbox: Inbox, root: dict[str, str], database: RolledBackDatabase
) -> None:
    await invite(client, root)
    token = await inbox.token(ADA, INVITED)
    await database.shift_clock("1 year")
    assert (await accept(client, token)).status_code == 400


async def test_invitation_does_not_depend_on_the_clock_of_the_process(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    await database.shift_clock("1 year")
    root = await a_user(client, database, ROOT, is_superuser=True)
    await invite(client, root)
    assert len((await client.get("/api/v1/invitations", headers=root)).json()) == 1
    assert (await accept(client, await inbox.token(ADA, INVITED))).status_code == 202


async def test_unconfirmed_account_of_a_stranger_is_replaced(
    client: httpx2.AsyncClient, inbox: Inbox, root: dict[str, str], database: RolledBackDatabase
) -> None:
    stranger = await a_user(client, database, ADA)
    await invite(client, root)
    token = await inbox.token(ADA, INVITED)
    mine = "a password that only I know"
    assert (await accept(client, token, password=mine)).status_code == 202
    assert (await client.get("/api/v1/users/me", headers=stranger)).status_code == 401
    assert (await log_in(client, ADA)).status_code == 401
    assert (await log_in(client, ADA, mine)).status_code == 200


async def test_confirmed_account_is_kept(
    client: httpx2.AsyncClient, inbox: Inbox, root: dict[str, str], database: RolledBackDatabase
) -> None:
    await invite(client, root)
    token = await inbox.token(ADA, INVITED)
    await a_user(client, database, ADA, email_verified_at=datetime.now(UTC))
    assert (await accept(client, token, password="another password entirely")).status_code == 202
    assert (await log_in(client, ADA)).status_code == 200
    assert inbox.subjects(ADA) == ["You already have an account"]


class TestClosed:
    """AUTH_REGISTRATION=closed."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Settings that disable registration."""
        auth = AuthSettings(bcrypt_rounds=4, registration="closed")
        return settings.model_copy(update={"auth": auth})

    async def test_closed_registration_disables_invitations(
        self, client: httpx2.AsyncClient, inbox: Inbox, root: dict[str, str]
    ) -> None:
        assert (await invite(client, root)).json()["type"] == CLOSED
        assert (await accept(client, "inv_x")).json()["type"] == CLOSED
        assert inbox.messages == []
