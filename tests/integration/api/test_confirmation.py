"""Only the account holder confirms an address, and what requires a confirmed one."""

from collections.abc import Callable

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from fastapi_base.core.config import Settings
from fastapi_base.models import ApiKey, User
from tests.integration.accounts import (
    PASSWORD,
    bearer,
    confirm,
    log_in,
    new_user,
    register,
)
from tests.integration.api import strangers
from tests.integration.api.strangers import (
    CONFIRM,
    ME,
    NEEDED,
    OWNERS,
    VICTIM,
    passkey_login,  # slice: passkeys
    post,
)
from tests.integration.authenticator import Authenticator  # slice: passkeys
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox, text_of
from tests.integration.providers import consent, log_in_at  # slice: oidc

pytestmark = pytest.mark.anyio
issuer = strangers.issuer  # slice: oidc
settings = strangers.settings


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
        headers = bearer(await log_in(client, VICTIM))  # slice: oidc, passkeys
        # begin slice: passkeys
        phone = Authenticator()
        options = (await post(client, "auth/passkey-options", headers)).json()["public_key"]
        made = phone.create(options)
        await post(client, "auth/passkeys", headers, name="Phone", credential=made)
        # end slice: passkeys
        # begin slice: oidc
        begun = (await post(client, "auth/oidc/real/link/begin", headers)).json()
        sent = consent(begun["authorization_url"], "eve")
        await post(
            client,
            "auth/oidc/real/link/finish",
            headers,
            transaction=begun["transaction"],
            **sent,
        )
        # end slice: oidc

        async def ways() -> set[int]:
            replies = [
                await log_in(client, VICTIM),
                await passkey_login(client, phone),  # slice: passkeys
                await log_in_at(client, "real", "eve"),  # slice: oidc
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
            await post(client, "auth/passkey-options", headers),  # slice: passkeys
            await post(client, "auth/totp", headers, password=PASSWORD),
            await post(client, "auth/oidc/real/link/begin", headers),  # slice: oidc
        ]
        assert all(reply.is_success for reply in made)

    # begin slice: oidc
    async def test_provider_login_takes_over_no_existing_account(
        self, client: httpx2.AsyncClient, database: RolledBackDatabase
    ) -> None:
        headers = await new_user(client, VICTIM)
        await post(client, "api-keys", headers, name="x", scopes=["profile:read"])
        assert (await log_in_at(client, "real", "ada")).status_code == 409
        async with database.read() as connection:
            assert await connection.scalar(select(func.count()).select_from(ApiKey)) == 1

    # end slice: oidc
