"""Accounts that a stranger created with another person's address."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pyotp
import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.oidc import OidcSettings  # slice: oidc
from fastapi_base.core.config.passkeys import PasskeySettings  # slice: passkeys
from fastapi_base.models import AuditEvent, Job, User
from fastapi_base.models.privacy.file import File
from fastapi_base.services.identity import ownership
from tests.integration.accounts import (
    PASSWORD,
    authorization,
    confirmed_user,
    log_in,
)
from tests.integration.authenticator import Authenticator  # slice: passkeys
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox
from tests.integration.providers import consent, real_provider  # slice: oidc

VICTIM = "ada@example.com"
OWNERS = "the password of the owner alone"
CONFIRM, RESET = "Confirm your address", "Set a new password"
UNPROVEN = "urn:fastapi-base:email-not-verified"
NEEDED = "urn:fastapi-base:password-needed"
ME = "/api/v1/users/me"
KEYS = "/api/v1/api-keys"
OIDC = "/api/v1/auth/oidc/real"  # slice: oidc
# begin slice: oidc
USERS = {
    "ada": {"email": VICTIM, "email_verified": True},
    "eve": {"email": "eve@example.org", "email_verified": True},
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider at which the victim and the stranger have verified addresses."""
    with real_provider(USERS) as found:
        yield found


# end slice: oidc


@pytest.fixture
def settings(settings: Settings, inbox: Inbox, request: pytest.FixtureRequest) -> Settings:
    """Settings with mail, passkeys and a provider."""
    more: dict[str, Any] = {"mail": inbox.settings}
    # begin slice: passkeys
    more["passkey"] = PasskeySettings(rp_id="example.com", origins=("https://app.example.com",))
    # end slice: passkeys
    # begin slice: oidc
    issuer: str = request.getfixturevalue("issuer")
    provider = {"issuer": issuer, "client_id": "app", "client_secret": "s3cret"}
    page = {"redirect_uri": "https://app.example.com/back"}
    more["oidc"] = OidcSettings.model_validate({"providers": {"real": provider | page}})
    # end slice: oidc
    return settings.model_copy(update=more)


async def post(
    client: httpx2.AsyncClient, path: str, headers: dict[str, str] | None = None, **body: Any
) -> httpx2.Response:
    """Send JSON to the API."""
    return await client.post(f"/api/v1/{path}", json=body, headers=headers or {})


# begin slice: passkeys
async def passkey_login(client: httpx2.AsyncClient, phone: Authenticator) -> httpx2.Response:
    """Log in with the passkey."""
    options = (await post(client, "auth/login/passkey/options")).json()["public_key"]
    return await post(client, "auth/login/passkey", credential=phone.get(options))


# end slice: passkeys


@dataclass
class Stranger:
    """Someone who registered another person's address, with everything that an account can have."""

    client: httpx2.AsyncClient
    headers: dict[str, str]
    refresh_token: str
    key: str
    phone: Authenticator  # slice: passkeys
    secret: str
    export: str
    transaction: dict[str, str]  # slice: oidc
    challenge: str

    async def gets_in(self) -> list[str]:
        """The ways in which the stranger still gets into the account or blocks it."""
        tries = {
            "session": await self.client.get(ME, headers=self.headers),
            "refresh token": await post(
                self.client, "auth/refresh", refresh_token=self.refresh_token
            ),
            "key": await self.client.get(ME, headers=authorization(self.key)),
            "passkey": await passkey_login(self.client, self.phone),  # slice: passkeys
            "password": await log_in(self.client, VICTIM),
            "challenge": await post(
                self.client,
                "auth/login/second-factor",
                challenge=self.challenge,
                code=pyotp.TOTP(self.secret).now(),
            ),
            # begin slice: oidc
            "link that was begun": await self.client.post(
                f"{OIDC}/link/finish", json=self.transaction, headers=self.headers
            ),
            # end slice: oidc
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
    phone = Authenticator()  # slice: passkeys
    replies = [made]
    # begin slice: passkeys
    options = (await post(client, "auth/passkey-options", headers)).json()["public_key"]
    replies.append(
        await post(client, "auth/passkeys", headers, name="Phone", credential=phone.create(options))
    )
    # end slice: passkeys
    # begin slice: oidc
    linking = (await post(client, "auth/oidc/real/link/begin", headers)).json()
    linked = await post(
        client,
        "auth/oidc/real/link/finish",
        headers,
        transaction=linking["transaction"],
        **consent(linking["authorization_url"], "eve"),
    )
    replies.append(linked)
    other = (await post(client, "auth/oidc/real/link/begin", headers)).json()
    # end slice: oidc
    secret = (await post(client, "auth/totp", headers, password=PASSWORD)).json()["secret"]
    code = pyotp.TOTP(secret).now()
    enrolled = await post(client, "auth/totp/confirm", headers, code=code)
    change = {"new_email": "eve@example.org", "current_password": PASSWORD}  # slice: email-change
    # begin slice: email-change
    replies.append(await post(client, "users/me/email-change", headers, **change))
    # end slice: email-change
    job = await post(client, "users/me/exports", headers)
    named = await client.patch(ME, json={"display_name": "Call 0190 123"}, headers=headers)
    replies += [enrolled, job, named]
    once = headers | {"Idempotency-Key": "k"}  # slice: items
    replies.append(await post(client, "items", once, title="x"))  # slice: items
    for reply in replies:
        assert reply.is_success, reply.text
    challenge = (await log_in(client, VICTIM)).json()["challenge"]
    await _add_file_and_unverify(database)
    return Stranger(
        client,
        headers,
        granted["refresh_token"],
        made.json()["key"],
        phone,  # slice: passkeys
        secret,
        job.json()["id"],
        # begin slice: oidc
        {"transaction": other["transaction"], **consent(other["authorization_url"], "ada")},
        # end slice: oidc
        challenge,
    )


async def _add_file_and_unverify(database: RolledBackDatabase) -> None:
    async with database.transaction() as session:
        owner = await session.scalar(select(col(User.id)).where(col(User.email) == VICTIM))
        assert owner
        now = datetime.now(UTC)
        file = {"owner_id": owner, "name": "export.zip", "size": 0, "digest": b""}
        file |= {"created_at": now, "expires_at": now + timedelta(days=1)}
        session.add(File.model_validate(file))
        await session.exec(update(User).values(email_verified_at=None))


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
            # begin slice: oidc
            if table.__tablename__ == "external_identities":
                # The identity with which the owner logged in.
                assert left in (0, 1)
                continue
            # end slice: oidc
            assert left == 0
        jobs = select(col(Job.state)).where(col(Job.owner_id) == me["id"])
        assert set(await connection.scalars(jobs)) == {"cancelled"}
        cleared = select(col(AuditEvent.details)).where(col(AuditEvent.action) == "account.cleared")
        (details,) = await connection.scalars(cleared)
    expected = {"api_keys", "totp_factors"}
    expected.add("passkeys")  # slice: passkeys
    expected.add("external_identities")  # slice: oidc
    assert expected <= set(details)
    items = (await client.get("/api/v1/items", headers=headers)).json()["items"]  # slice: items
    assert [item["title"] for item in items] == ["x"]  # slice: items
