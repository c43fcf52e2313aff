"""Accounts created by a login at a provider, only where registration is allowed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.oidc import OidcSettings
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import Origin
from fastapi_base.models import Invitation, User
from fastapi_base.services.identity import invitations
from tests.integration.accounts import bearer
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox
from tests.integration.providers import log_in_at, real_provider

pytestmark = pytest.mark.anyio
ADA, ROOT = "ada@example.com", "root@example.com"
CLOSED = "urn:fastapi-base:registration-closed"
USERS = {"ada": {"email": ADA, "email_verified": True}}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with real_provider(USERS) as found:
        yield found


@pytest.fixture
def mode() -> str:
    """AUTH_REGISTRATION."""
    return "invite-only"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox, issuer: str, mode: str) -> Settings:
    """Settings with mail and a provider."""
    provider = {"issuer": issuer, "client_id": "app", "client_secret": "s3cret"}
    page = {"redirect_uri": "https://app.example.com/back"}
    more = {
        "mail": inbox.settings,
        "oidc": OidcSettings.model_validate({"providers": {"real": provider | page}}),
        "auth": settings.auth.model_copy(update={"registration": mode}),
    }
    return settings.model_copy(update=more)


async def invite(database: RolledBackDatabase, email: str) -> None:
    """Invite as a superuser does, whatever the current mode is."""
    async with database.transaction() as session:
        root = await session.scalar(select(col(User.id)).where(col(User.email) == ROOT))
        if root is None:
            root = uuid7()
            session.add(User(id=root, email=ROOT, password_hash="!", is_superuser=True))
            await session.flush()
        await invitations.invite(session, email, 7, root, Origin())


async def open_invitations(database: RolledBackDatabase) -> list[str]:
    async with database.read() as connection:
        return [invitation.email for invitation in await invitations.listed(connection)]


async def accounts(database: RolledBackDatabase) -> set[str]:
    async with database.read() as connection:
        return set(await connection.scalars(select(col(User.email)))) - {ROOT}


async def test_only_invited_people_get_an_account(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    for _ in range(2):
        refused = await log_in_at(client, "real", "ada")
        assert (refused.status_code, refused.json()["type"]) == (403, CLOSED)
        await invite(database, "grace@example.com")
    assert await accounts(database) == set()
    await invite(database, ADA)
    headers = bearer(await log_in_at(client, "real", "ada"))
    assert (await client.get("/api/v1/users/me", headers=headers)).json()["email"] == ADA
    # The invitation is consumed; the account remains.
    assert await open_invitations(database) == ["grace@example.com"]
    assert (await log_in_at(client, "real", "ada")).status_code == 200


@pytest.mark.parametrize("column", ["revoked_at", "expires_at", "accepted_at"])
async def test_expired_or_revoked_invitation_is_void(
    client: httpx2.AsyncClient, database: RolledBackDatabase, column: str
) -> None:
    await invite(database, ADA)
    async with database.transaction() as session:
        ended = datetime.now(UTC) - timedelta(seconds=1)
        await session.exec(update(Invitation).values({column: ended}))
    refused = await log_in_at(client, "real", "ada")
    assert (refused.status_code, refused.json()["type"]) == (403, CLOSED)
    assert await accounts(database) == set()


@pytest.mark.parametrize("mode", ["closed"])
async def test_closed_registration_ignores_invitations(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await invite(database, ADA)
    refused = await log_in_at(client, "real", "ada")
    assert (refused.status_code, refused.json()["type"]) == (403, CLOSED)
    assert await accounts(database) == set()
    assert await open_invitations(database) == [ADA]


@pytest.mark.parametrize("mode", ["open"])
async def test_open_registration_consumes_the_invitation(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await invite(database, ADA)
    assert (await log_in_at(client, "real", "ada")).status_code == 200
    assert await open_invitations(database) == []
