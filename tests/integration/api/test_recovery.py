"""Address confirmation and password reset, by mails to a real SMTP server."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from fastapi_base.core.config import AuthSettings, Settings
from fastapi_base.core.config.throttle import ThrottleSettings
from fastapi_base.models import AuditEvent, OneTimeToken, User
from tests.integration.accounts import PASSWORD, bearer, confirm, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox, text_of, token_of

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
NEW = "an entirely different password"
CONFIRM, RESET, CHANGED = "Confirm your address", "Set a new password", "password was changed"
INVALID = "urn:fastapi-base:invalid-link"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with a mail server."""
    return settings.model_copy(update={"mail": inbox.settings})


async def post(client: httpx2.AsyncClient, path: str, **body: Any) -> httpx2.Response:
    # As escapes, so that a lone surrogate can be sent, too.
    content, headers = json.dumps(body), {"Content-Type": "application/json"}
    return await client.post(f"/api/v1/auth/{path}", content=content, headers=headers)


async def set_password(client: httpx2.AsyncClient, token: str, new: str = NEW) -> httpx2.Response:
    return await post(client, "password-reset/confirm", token=token, new_password=new)


async def test_link_confirms_the_address_once(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, ADA)

    async def verified() -> bool:
        return bool((await client.get("/api/v1/users/me", headers=headers)).json()["is_verified"])

    assert not await verified()
    message = await inbox.next(ADA, CONFIRM)
    assert "https://app.example.com/verify-email#token=ot_" in text_of(message)
    token = token_of(message)
    async with database.read() as connection:
        (stored,) = (await connection.scalars(select(col(OneTimeToken.digest)))).all()
    assert token.encode() not in stored
    assert (await confirm(client, token)).status_code == 204
    assert await verified()
    again = await confirm(client, token)
    assert (again.status_code, again.json()["type"]) == (400, INVALID)


async def test_new_link_replaces_the_previous_one(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    await register(client, ADA)
    first = await inbox.token(ADA, CONFIRM)
    assert (await post(client, "verify-email", email="ADA@example.com")).status_code == 202
    second = await inbox.token(ADA, CONFIRM)
    assert (await confirm(client, first)).status_code == 400
    assert (await confirm(client, second)).status_code == 204
    # Already confirmed: another registration or request gets a mail that the account exists.
    await register(client, ADA)
    assert inbox.subjects(ADA) == ["You already have an account"]


async def test_password_reset_ends_all_sessions(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, ADA)
    verification = await inbox.token(ADA, CONFIRM)
    assert (await post(client, "password-reset", email=ADA)).status_code == 202
    token = await inbox.token(ADA, RESET)
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 200
    assert (await set_password(client, token)).status_code == 204
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401
    assert (await log_in(client, ADA, PASSWORD)).status_code == 401
    reply = await log_in(client, ADA, NEW)
    headers = bearer(reply)
    # The link also proved the address; other links are void.
    assert (await client.get("/api/v1/users/me", headers=headers)).json()["is_verified"]
    assert (await confirm(client, verification)).status_code == 400
    assert (await set_password(client, token)).json()["type"] == INVALID
    notice = text_of(await inbox.next(ADA, CHANGED))
    assert str(datetime.now(UTC).year) in notice
    async with database.read() as connection:
        actions = set(await connection.scalars(select(col(AuditEvent.action))))
        written = str((await connection.execute(select(AuditEvent))).all())
    assert {"password-reset.requested", "password.reset", "sessions.ended"} <= actions
    assert token not in written


async def test_weak_password_does_not_consume_the_link(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    await register(client, ADA)
    await post(client, "password-reset", email=ADA)
    token = await inbox.token(ADA, RESET)
    weak = await set_password(client, token, "ada@example.com")
    assert weak.json()["type"] == "urn:fastapi-base:weak-password"
    assert (await set_password(client, token)).status_code == 204


async def test_concurrent_uses_of_a_link_succeed_once(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    await register(client, ADA)
    await post(client, "password-reset", email=ADA)
    token = await inbox.token(ADA, RESET)
    uses = [set_password(client, token, f"{NEW} {n}") for n in range(4)]
    replies = await asyncio.gather(*uses)
    assert sorted(reply.status_code for reply in replies) == [204, 400, 400, 400]


@pytest.mark.parametrize(
    "change",
    [
        update(OneTimeToken).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        update(User).values(is_active=False),
        update(User).values(email="other@example.com"),
        update(OneTimeToken).values(purpose="verify-email"),
    ],
    ids=["expired", "account not active", "address changed", "for something else"],
)
async def test_link_is_refused_when_expired_or_its_account_changed(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase, change: Any
) -> None:
    await register(client, ADA)
    await post(client, "password-reset", email=ADA)
    token = await inbox.token(ADA, RESET)
    async with database.transaction() as session:
        await session.exec(change)
    reply = await set_password(client, token)
    assert (reply.status_code, reply.json()["type"]) == (400, INVALID)


@pytest.mark.parametrize("token", ["ot_", "ot_" + "A" * 43, "\0", "x" * 256, "\ud800", "é'--"])
async def test_invented_tokens_are_refused(client: httpx2.AsyncClient, token: str) -> None:
    verified = await post(client, "verify-email/confirm", token=token, password=PASSWORD)
    assert verified.status_code in {400, 422}
    assert (await set_password(client, token)).status_code in {400, 422}


async def test_password_change_is_notified_and_voids_links(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    headers = await new_user(client, ADA)
    await post(client, "password-reset", email=ADA)
    token = await inbox.token(ADA, RESET)
    body = {"current_password": PASSWORD, "new_password": NEW}
    changed = await client.put("/api/v1/users/me/password", json=body, headers=headers)
    assert changed.status_code == 204
    await inbox.next(ADA, CHANGED)
    assert (await set_password(client, token)).status_code == 400


async def test_mail_floods_are_throttled(
    client: httpx2.AsyncClient, inbox: Inbox, settings: Settings
) -> None:
    app: Any = client._transport.app  # type: ignore[attr-defined]
    app.state.resources.mail_throttle._settings = ThrottleSettings()
    await register(client, ADA)
    for email in [ADA, "nobody@example.com"]:
        replies = [await post(client, "password-reset", email=email) for _ in range(7)]
        free = 4 if email == ADA else 5  # registration counts
        assert [reply.status_code for reply in replies] == [202] * free + [429] * (7 - free)
    # Logins are counted separately.
    assert (await log_in(client, ADA)).status_code == 200


class TestConfirmedAddressesOnly:
    """AUTH_REQUIRE_VERIFIED_EMAIL."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Settings that require it."""
        auth = AuthSettings(bcrypt_rounds=4, require_verified_email=True)
        return settings.model_copy(update={"auth": auth})

    async def test_login_requires_a_confirmed_address(
        self, client: httpx2.AsyncClient, inbox: Inbox
    ) -> None:
        await register(client, ADA)
        # Only a caller who knows the password learns the reason.
        assert (await log_in(client, ADA, "wrong")).status_code == 401
        refused = await log_in(client, ADA)
        assert (refused.status_code, refused.json()["type"]) == (
            403,
            "urn:fastapi-base:email-not-verified",
        )
        token = await inbox.token(ADA, CONFIRM)
        assert (await confirm(client, token)).status_code == 204
        assert (await log_in(client, ADA)).status_code == 200


class TestClosed:
    """AUTH_REGISTRATION=closed."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Settings that disable registration."""
        auth = AuthSettings(bcrypt_rounds=4, registration="closed")
        return settings.model_copy(update={"auth": auth})

    async def test_registration_is_refused(self, client: httpx2.AsyncClient, inbox: Inbox) -> None:
        reply = await register(client, ADA)
        assert (reply.status_code, reply.json()["type"]) == (
            403,
            "urn:fastapi-base:registration-closed",
        )
        assert inbox.messages == []
        assert (await log_in(client, ADA)).status_code == 401
