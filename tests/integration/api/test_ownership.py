"""Accounts that an attacker created with another person's address (Sudhodanan and Paverd, 2022)."""

from collections.abc import Callable
from typing import Any

import httpx2
import pyotp
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import text, update
from sqlmodel import SQLModel

from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.models import LoginSession, User
from fastapi_base.services.identity import ownership
from tests.integration.accounts import (
    PASSWORD,
    authorization,
    bearer,
    confirm,
    confirmed_user,
    log_in,
    new_user,
    register,
)
from tests.integration.api import strangers
from tests.integration.api.strangers import (
    CONFIRM,
    KEYS,
    ME,
    OWNERS,
    RESET,
    UNPROVEN,
    VICTIM,
    assert_clean,
    moved_in,
    post,
)
from tests.integration.authenticator import Authenticator  # slice: passkeys
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox
from tests.integration.providers import consent, log_in_at  # slice: oidc

pytestmark = pytest.mark.anyio
issuer = strangers.issuer  # slice: oidc
settings = strangers.settings


async def test_password_reset_by_the_owner_cleans_the_account(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    stranger = await moved_in(client, inbox, database)
    ways = set(await stranger.gets_in())
    assert "passkey" in ways  # slice: passkeys
    assert {"session", "key"} <= ways
    await post(client, "auth/password-reset", email=VICTIM)
    token = await inbox.token(VICTIM, RESET)
    reset = await post(client, "auth/password-reset/confirm", token=token, new_password=OWNERS)
    assert reset.status_code == 204
    assert await stranger.gets_in() == []
    # The stranger's second factor does not lock the owner out.
    await assert_clean(client, bearer(await log_in(client, VICTIM, OWNERS)), database)
    # begin slice: oidc
    # The stranger's identity now belongs to no account.
    other = bearer(await log_in_at(client, "real", "eve"))
    assert (await client.get(ME, headers=other)).json()["email"] == "eve@example.org"
    # end slice: oidc


# begin slice: oidc
async def test_provider_login_by_the_owner_cleans_the_account(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    stranger = await moved_in(client, inbox, database)
    headers = bearer(await log_in_at(client, "real", "ada"))
    assert await stranger.gets_in() == []
    await assert_clean(client, headers, database)
    (linked,) = (await client.get("/api/v1/auth/identities", headers=headers)).json()
    assert linked["subject"] == "ada"


async def test_provider_login_never_takes_over_a_superuser(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await register(client, VICTIM)
    async with database.transaction() as session:
        await session.exec(update(User).values(is_superuser=True))
    assert (await log_in_at(client, "real", "ada")).status_code == 409
    assert (await log_in(client, VICTIM)).status_code == 200


# end slice: oidc
async def test_reset_of_a_confirmed_account_keeps_its_setup(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    headers = await confirmed_user(client, inbox, VICTIM)
    body = {"name": "x", "scopes": ["profile:read"]}
    key = (await client.post(KEYS, json=body, headers=headers)).json()["key"]
    await post(client, "auth/password-reset", email=VICTIM)
    token = await inbox.token(VICTIM, RESET)
    await post(client, "auth/password-reset/confirm", token=token, new_password=OWNERS)
    assert (await client.get(ME, headers=headers)).status_code == 401
    assert (await client.get(ME, headers=authorization(key))).status_code == 200


async def test_unconfirmed_account_cannot_add_credentials(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    headers = await new_user(client, VICTIM)
    change = {"new_email": "eve@example.org", "current_password": PASSWORD}  # slice: email-change
    refused = [
        await post(client, "api-keys", headers, name="x", scopes=["profile:read"]),
        await post(client, "auth/passkey-options", headers),  # slice: passkeys
        await post(client, "auth/totp", headers, password=PASSWORD),
        await post(client, "auth/oidc/real/link/begin", headers),  # slice: oidc
        await post(client, "users/me/email-change", headers, **change),  # slice: email-change
    ]
    for reply in refused:
        assert (reply.status_code, reply.json()["type"]) == (403, UNPROVEN), reply.url
        assert "verify-email" in reply.json()["detail"]
    token = await inbox.token(VICTIM, CONFIRM)
    assert (await confirm(client, token, None, **headers)).status_code == 204
    made = await post(client, "api-keys", headers, name="x", scopes=["profile:read"])
    assert made.status_code == 201


async def test_operation_started_before_the_address_became_unconfirmed_is_refused(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    headers = await confirmed_user(client, inbox, VICTIM)
    # begin slice: passkeys
    options = (await post(client, "auth/passkey-options", headers)).json()["public_key"]
    # end slice: passkeys
    linking = (await post(client, "auth/oidc/real/link/begin", headers)).json()  # slice: oidc
    secret = (await post(client, "auth/totp", headers, password=PASSWORD)).json()["secret"]
    key = (await post(client, "api-keys", headers, name="x", scopes=["profile:read"])).json()
    async with database.transaction() as session:
        await session.exec(update(User).values(email_verified_at=None))
    sent = consent(linking["authorization_url"], "eve")  # slice: oidc
    refused = [
        # begin slice: passkeys
        await post(
            client, "auth/passkeys", headers, name="x", credential=Authenticator().create(options)
        ),
        # end slice: passkeys
        # begin slice: oidc
        await post(
            client,
            "auth/oidc/real/link/finish",
            headers,
            transaction=linking["transaction"],
            **sent,
        ),
        # end slice: oidc
        await post(client, "auth/totp/confirm", headers, code=pyotp.TOTP(secret).now()),
        await post(client, f"api-keys/{key['id']}/rotate", headers),
    ]
    for reply in refused:
        assert (reply.status_code, reply.json()["type"]) == (403, UNPROVEN), reply.url


@pytest.fixture
async def networks(app: FastAPI, client: httpx2.AsyncClient, redis: Redis) -> str:
    """The throttling key of the two networks from which a stranger logged in."""
    for number in (1, 2):
        transport = httpx2.ASGITransport(app=app, client=(f"203.0.113.{number}", 1234))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as stranger:
            await new_user(stranger, VICTIM)
    (key,) = await redis.keys("fastapi-base:throttle:networks:*")
    assert await redis.zcard(key) == 2
    assert isinstance(key, bytes)
    return key.decode()


async def test_known_networks_of_a_stranger_are_removed(
    networks: str, client: httpx2.AsyncClient, inbox: Inbox, redis: Redis
) -> None:
    await client.post("/api/v1/auth/password-reset", json={"email": VICTIM})
    token = await inbox.token(VICTIM, "Set a new password")
    chosen = {"token": token, "new_password": f"{PASSWORD} again"}
    reply = await client.post("/api/v1/auth/password-reset/confirm", json=chosen)
    assert reply.status_code == 204
    # The owner's network.
    assert await redis.zcard(networks) == 1


# begin slice: oidc
async def test_known_networks_are_removed_only_when_the_provider_login_commits(
    networks: str, client: httpx2.AsyncClient, database: RolledBackDatabase, redis: Redis
) -> None:
    """The last statement of the first login fails, so that none of it is committed."""
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(_REFUSE)
        await connection.execute(_REFUSE_LINKS)
    assert (await log_in_at(client, "real", "ada")).status_code == 503
    assert await redis.zcard(networks) == 2
    async with database.transaction() as session:
        await (await session.connection()).execute(
            text("DROP TRIGGER refused ON external_identities")
        )
    assert (await log_in_at(client, "real", "ada")).status_code == 200
    assert not await redis.exists(networks)


_REFUSE = text("""
    CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'query_canceled'; END $$
""")
_REFUSE_LINKS = text("""
    CREATE TRIGGER refused BEFORE INSERT ON external_identities
    FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()
""")


# end slice: oidc


async def test_session_ended_by_a_verification_adds_nothing(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase, app: FastAPI
) -> None:
    """Requests authenticated before the verification that reach the account after it."""
    headers = await confirmed_user(client, inbox, VICTIM)
    auth = app.state.resources.auth
    principal = await auth.identify(headers["Authorization"].removeprefix("Bearer "))
    async with database.transaction() as session:
        await session.exec(update(LoginSession).values(revoked_at=text("now()")))

    async def late(add: Callable[..., Any]) -> None:
        async with database.transaction() as session:
            await add(session, auth, principal)

    with pytest.raises(NotAuthenticated):
        await late(ownership.lock_verified)


def test_every_account_table_is_cleaned_or_kept_for_a_reason() -> None:
    owned = {
        table.name
        for table in SQLModel.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "users"
    }
    assert owned == {str(table.__tablename__) for table, _ in ownership.REMOVED} | set(
        ownership.KEPT
    )
