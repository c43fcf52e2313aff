"""Accounts that an attacker created with another person's address (Sudhodanan and Paverd, 2022).

The owner who verifies the e-mail address gets an account on which nothing that was set up before
still works. Nothing that lasts can be set up before the verification.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pyotp
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import func, select, text, update
from sqlmodel import SQLModel, col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.login import OidcSettings, PasskeySettings
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.models import ApiKey, AuditEvent, Job, LoginSession, User
from fastapi_base.models.privacy.file import File
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
from tests.integration.authenticator import Authenticator
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox, text_of
from tests.integration.providers import consent, log_in_at, real_provider

pytestmark = pytest.mark.anyio

VICTIM = "ada@example.com"
OWNERS = "the password of the owner alone"
CONFIRM, RESET = "Confirm your address", "Set a new password"
UNPROVEN = "urn:fastapi-base:email-not-verified"
NEEDED = "urn:fastapi-base:password-needed"
ME = "/api/v1/users/me"
KEYS = "/api/v1/api-keys"
OIDC = "/api/v1/auth/oidc/real"
USERS = {
    "ada": {"email": VICTIM, "email_verified": True},
    "eve": {"email": "eve@example.org", "email_verified": True},
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with real_provider(USERS) as found:
        yield found


@pytest.fixture
def settings(settings: Settings, inbox: Inbox, issuer: str) -> Settings:
    """Settings with mail, passkeys and a provider."""
    provider = {"issuer": issuer, "client_id": "app", "client_secret": "s3cret"}
    page = {"redirect_uri": "https://app.example.com/back"}
    more = {
        "mail": inbox.settings,
        "passkey": PasskeySettings(rp_id="example.com", origins=("https://app.example.com",)),
        "oidc": OidcSettings.model_validate({"providers": {"real": provider | page}}),
    }
    return settings.model_copy(update=more)


async def post(
    client: httpx2.AsyncClient, path: str, headers: dict[str, str] | None = None, **body: Any
) -> httpx2.Response:
    return await client.post(f"/api/v1/{path}", json=body, headers=headers or {})


async def passkey_login(client: httpx2.AsyncClient, phone: Authenticator) -> httpx2.Response:
    options = (await post(client, "auth/login/passkey/options")).json()["public_key"]
    return await post(client, "auth/login/passkey", credential=phone.get(options))


@dataclass
class Stranger:
    """Someone who registered another person's address, with everything that an account can have."""

    client: httpx2.AsyncClient
    headers: dict[str, str]
    refresh_token: str
    key: str
    phone: Authenticator
    secret: str
    export: str
    transaction: dict[str, str]
    challenge: str

    async def gets_in(self) -> list[str]:
        """The ways in which the stranger still gets into the account or blocks it."""
        tries = {
            "session": await self.client.get(ME, headers=self.headers),
            "refresh token": await post(
                self.client, "auth/refresh", refresh_token=self.refresh_token
            ),
            "key": await self.client.get(ME, headers=authorization(self.key)),
            "passkey": await passkey_login(self.client, self.phone),
            "password": await log_in(self.client, VICTIM),
            "challenge": await post(
                self.client,
                "auth/login/second-factor",
                challenge=self.challenge,
                code=pyotp.TOTP(self.secret).now(),
            ),
            "link that was begun": await self.client.post(
                f"{OIDC}/link/finish", json=self.transaction, headers=self.headers
            ),
        }
        return [name for name, reply in tries.items() if reply.is_success]


async def moved_in(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> Stranger:
    """An account whose address nobody confirmed, as it may exist from before there was mail."""
    await confirmed_user(client, inbox, VICTIM)
    granted = (await log_in(client, VICTIM)).json()
    headers = authorization(granted["access_token"])
    made = await client.post(
        KEYS, json={"name": "x", "scopes": ["profile:read"], "expires_in_days": 9}, headers=headers
    )
    phone = Authenticator()
    options = (await post(client, "auth/passkey-options", headers)).json()["public_key"]
    added = await post(
        client, "auth/passkeys", headers, name="Phone", credential=phone.create(options)
    )
    linking = (await post(client, "auth/oidc/real/link/begin", headers)).json()
    linked = await post(
        client,
        "auth/oidc/real/link/finish",
        headers,
        transaction=linking["transaction"],
        **consent(linking["authorization_url"], "eve"),
    )
    other = (await post(client, "auth/oidc/real/link/begin", headers)).json()
    secret = (await post(client, "auth/totp", headers, password=PASSWORD)).json()["secret"]
    code = pyotp.TOTP(secret).now()
    enrolled = await post(client, "auth/totp/confirm", headers, code=code)
    change = {"new_email": "eve@example.org", "current_password": PASSWORD}
    begun = await post(client, "users/me/email-change", headers, **change)
    job = await post(client, "users/me/exports", headers)
    named = await client.patch(ME, json={"display_name": "Call 0190 123"}, headers=headers)
    replies = [made, added, linked, enrolled, begun, job, named]
    once = headers | {"Idempotency-Key": "k"}  # slice: items
    replies.append(await post(client, "items", once, title="x"))  # slice: items
    for reply in replies:
        assert reply.is_success, reply.text
    challenge = (await log_in(client, VICTIM)).json()["challenge"]
    async with database.transaction() as session:
        owner = await session.scalar(select(col(User.id)).where(col(User.email) == VICTIM))
        assert owner
        now = datetime.now(UTC)
        file = {"owner_id": owner, "name": "export.zip", "size": 0, "digest": b""}
        file |= {"created_at": now, "expires_at": now + timedelta(days=1)}
        session.add(File.model_validate(file))
        await session.exec(update(User).values(email_verified_at=None))
    return Stranger(
        client,
        headers,
        granted["refresh_token"],
        made.json()["key"],
        phone,
        secret,
        job.json()["id"],
        {"transaction": other["transaction"], **consent(other["authorization_url"], "ada")},
        challenge,
    )


async def assert_clean(
    client: httpx2.AsyncClient, headers: dict[str, str], database: RolledBackDatabase
) -> None:
    """Assert that nothing of an earlier holder is in the account; its content remains."""
    me = (await client.get(ME, headers=headers)).json()
    assert (me["email"], me["is_verified"], me["display_name"]) == (VICTIM, True, None)
    async with database.read() as connection:
        for table, owner in ownership.REMOVED:
            mine = table.__table__.c[owner] == me["id"]  # type: ignore[attr-defined]
            left = await connection.scalar(select(func.count()).select_from(table).where(mine))
            # The identity with which the owner logged in.
            assert left == (1 if table.__tablename__ == "external_identities" and left else 0)
        jobs = select(col(Job.state)).where(col(Job.owner_id) == me["id"])
        assert set(await connection.scalars(jobs)) == {"cancelled"}
        cleared = select(col(AuditEvent.details)).where(col(AuditEvent.action) == "account.cleared")
        (details,) = await connection.scalars(cleared)
    assert {"api_keys", "passkeys", "totp_factors", "external_identities"} <= set(details)
    items = (await client.get("/api/v1/items", headers=headers)).json()["items"]  # slice: items
    assert [item["title"] for item in items] == ["x"]  # slice: items


async def test_password_reset_by_the_owner_cleans_the_account(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    stranger = await moved_in(client, inbox, database)
    assert {"session", "key", "passkey"} <= set(await stranger.gets_in())
    await post(client, "auth/password-reset", email=VICTIM)
    token = await inbox.token(VICTIM, RESET)
    reset = await post(client, "auth/password-reset/confirm", token=token, new_password=OWNERS)
    assert reset.status_code == 204
    assert await stranger.gets_in() == []
    # The stranger's second factor does not lock the owner out.
    await assert_clean(client, bearer(await log_in(client, VICTIM, OWNERS)), database)
    # The stranger's identity now belongs to no account.
    other = bearer(await log_in_at(client, "real", "eve"))
    assert (await client.get(ME, headers=other)).json()["email"] == "eve@example.org"


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
    change = {"new_email": "eve@example.org", "current_password": PASSWORD}
    refused = [
        await post(client, "api-keys", headers, name="x", scopes=["profile:read"]),
        await post(client, "auth/passkey-options", headers),
        await post(client, "auth/totp", headers, password=PASSWORD),
        await post(client, "auth/oidc/real/link/begin", headers),
        await post(client, "users/me/email-change", headers, **change),
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
    options = (await post(client, "auth/passkey-options", headers)).json()["public_key"]
    linking = (await post(client, "auth/oidc/real/link/begin", headers)).json()
    secret = (await post(client, "auth/totp", headers, password=PASSWORD)).json()["secret"]
    key = (await post(client, "api-keys", headers, name="x", scopes=["profile:read"])).json()
    async with database.transaction() as session:
        await session.exec(update(User).values(email_verified_at=None))
    sent = consent(linking["authorization_url"], "eve")
    refused = [
        await post(
            client, "auth/passkeys", headers, name="x", credential=Authenticator().create(options)
        ),
        await post(
            client,
            "auth/oidc/real/link/finish",
            headers,
            transaction=linking["transaction"],
            **sent,
        ),
        await post(client, "auth/totp/confirm", headers, code=pyotp.TOTP(secret).now()),
        await post(client, f"api-keys/{key['id']}/rotate", headers),
    ]
    for reply in refused:
        assert (reply.status_code, reply.json()["type"]) == (403, UNPROVEN), reply.url


async def test_link_confirms_nothing_without_access_to_the_account(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    """The owner of the address follows the link of a registration by someone else."""
    stranger = await new_user(client, VICTIM)
    message = await inbox.next(VICTIM, CONFIRM)
    assert "password" in text_of(message)
    token = text_of(message).partition("#token=")[2].split()[0]
    other = await new_user(client, "grace@example.com")
    for reply in [await confirm(client, token, None), await confirm(client, token, None, **other)]:
        assert (reply.status_code, reply.json()["type"]) == (403, NEEDED)
        assert "password-reset" in reply.json()["detail"]
    wrong = await confirm(client, token, OWNERS)
    assert (wrong.status_code, wrong.json()["type"]) == (403, "urn:fastapi-base:wrong-password")
    assert not (await client.get(ME, headers=stranger)).json()["is_verified"]
    # None of this consumed the link, which the account holder then follows.
    assert (await confirm(client, token)).status_code == 204
    assert (await client.get(ME, headers=stranger)).json()["is_verified"]


async def test_ended_session_confirms_nothing(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    headers = await new_user(client, VICTIM)
    token = await inbox.token(VICTIM, CONFIRM)
    await client.delete("/api/v1/sessions", headers=headers)
    assert (await confirm(client, token, None, **headers)).status_code == 401


async def test_password_guesses_with_a_link_are_throttled(
    client: httpx2.AsyncClient, inbox: Inbox, app: FastAPI
) -> None:
    limits = app.state.resources.settings.throttle
    app.state.resources.throttle._settings = limits.model_copy(update={"pair_attempts": 2})
    await register(client, VICTIM)
    token = await inbox.token(VICTIM, CONFIRM)
    replies = [(await confirm(client, token, f"guess {n}")).status_code for n in range(4)]
    assert replies == [403, 403, 403, 429] or replies == [403, 403, 429, 429]


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


class TestConfirmedAddressesOnly:
    """AUTH_REQUIRE_VERIFIED_EMAIL."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Settings that require it."""
        auth = settings.auth.model_copy(update={"require_verified_email": True})
        return settings.model_copy(update={"auth": auth})

    async def test_every_login_method_requires_a_confirmed_address(
        self, client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
    ) -> None:
        await register(client, VICTIM)
        assert (await confirm(client, await inbox.token(VICTIM, CONFIRM))).status_code == 204
        headers = bearer(await log_in(client, VICTIM))
        phone = Authenticator()
        options = (await post(client, "auth/passkey-options", headers)).json()["public_key"]
        made = phone.create(options)
        await post(client, "auth/passkeys", headers, name="Phone", credential=made)
        begun = (await post(client, "auth/oidc/real/link/begin", headers)).json()
        sent = consent(begun["authorization_url"], "eve")
        await post(
            client,
            "auth/oidc/real/link/finish",
            headers,
            transaction=begun["transaction"],
            **sent,
        )

        async def ways() -> set[int]:
            replies = [
                await log_in(client, VICTIM),
                await passkey_login(client, phone),
                await log_in_at(client, "real", "eve"),
            ]
            return {reply.status_code for reply in replies}

        assert await ways() == {200}
        async with database.transaction() as session:
            await session.exec(update(User).values(email_verified_at=None))
        assert await ways() == {403}


class TestWithoutMail:
    """Without mail, addresses cannot be confirmed: they are names, and accounts are complete."""

    @pytest.fixture
    def settings(self, settings: Settings, make_settings: Callable[[str], Settings]) -> Settings:
        """The same settings without mail."""
        without = make_settings(settings.database.url.get_secret_value())
        return settings.model_copy(update={"mail": without.mail})

    async def test_unconfirmed_accounts_have_all_features(self, client: httpx2.AsyncClient) -> None:
        headers = await new_user(client, VICTIM)
        made = [
            await post(client, "api-keys", headers, name="x", scopes=["profile:read"]),
            await post(client, "auth/passkey-options", headers),
            await post(client, "auth/totp", headers, password=PASSWORD),
            await post(client, "auth/oidc/real/link/begin", headers),
        ]
        assert [reply.is_success for reply in made] == [True] * 4

    async def test_provider_login_takes_over_no_existing_account(
        self, client: httpx2.AsyncClient, database: RolledBackDatabase
    ) -> None:
        headers = await new_user(client, VICTIM)
        await post(client, "api-keys", headers, name="x", scopes=["profile:read"])
        assert (await log_in_at(client, "real", "ada")).status_code == 409
        async with database.read() as connection:
            assert await connection.scalar(select(func.count()).select_from(ApiKey)) == 1


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
