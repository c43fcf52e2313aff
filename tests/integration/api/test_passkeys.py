"""Passkeys: registration, login and management by their owner."""

from collections.abc import Callable

import httpx2
import jwt
import pytest
from sqlalchemy import text, update

from fastapi_base.core.config import Settings
from fastapi_base.models import LoginSession, User
from tests.integration.accounts import PASSWORD, authorization, bearer, log_in, new_user
from tests.integration.api import passkeys
from tests.integration.api.passkeys import (
    ADA,
    LOGIN,
    OPTIONS,
    PASSKEYS,
    add,
    answer,
    creation_options,
    registered,
    request_options,
)
from tests.integration.authenticator import Authenticator, encoded
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
settings = passkeys.settings
ada = passkeys.ada


async def test_options_request_a_passkey(client: httpx2.AsyncClient, ada: dict[str, str]) -> None:
    options = await creation_options(client, ada)
    assert options["rp"]["id"] == "example.com"
    assert options["attestation"] == "none"
    chosen = options["authenticatorSelection"]
    assert chosen["residentKey"] == "required"
    assert chosen["userVerification"] == "required"
    asked = await request_options(client)
    assert asked["userVerification"] == "required"
    # They list no credentials, so they disclose no account.
    assert asked["allowCredentials"] == []
    assert len(asked["challenge"]) >= 43


async def test_login_requires_only_the_passkey(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    for _ in range(2):
        reply = await answer(client, phone.get(await request_options(client)))
        assert reply.status_code == 200, reply.text
        assert reply.headers["cache-control"] == "no-store"
        token = reply.json()["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["amr"] == ["pop", "user", "mfa"]
        me = await client.get("/api/v1/users/me", headers=authorization(token))
        assert me.json()["email"] == ADA
    (listed,) = (await client.get(PASSKEYS, headers=ada)).json()
    assert listed["last_used_at"]


async def test_browser_login_sets_a_cookie(client: httpx2.AsyncClient, ada: dict[str, str]) -> None:
    phone = await registered(client, ada)
    body = {"credential": phone.get(await request_options(client))}
    ours = {"Sec-Fetch-Site": "same-origin"}
    reply = await client.post(f"{LOGIN}?mode=cookie", json=body, headers=ours)
    assert reply.status_code == 200
    assert set(reply.json()) == {"csrf_token"}
    assert reply.headers["set-cookie"].startswith("__Host-session=bs_")


async def test_authenticator_without_a_counter_is_accepted(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = Authenticator(counter=None)
    await add(client, ada, phone.create(await creation_options(client, ada)))
    for _ in range(2):
        assert (await answer(client, phone.get(await request_options(client)))).status_code == 200


async def test_registration_requires_a_recent_login_or_the_password(
    client: httpx2.AsyncClient, ada: dict[str, str], database: RolledBackDatabase
) -> None:
    phone = await registered(client, ada)
    (listed,) = (await client.get(PASSKEYS, headers=ada)).json()
    async with database.transaction() as session:
        await session.exec(
            update(LoginSession).values(created_at=text("now() - interval '11 minutes'"))
        )
    for body, expected in [({}, 403), ({"password": "wrong"}, 403), ({"password": PASSWORD}, 200)]:
        reply = await client.post(OPTIONS, json=body, headers=ada)
        assert reply.status_code == expected
    path = f"{PASSKEYS}/{listed['id']}"
    refused = await client.delete(path, headers=ada)
    assert refused.json()["type"] == "urn:fastapi-base:login-not-recent"
    fresh = await answer(client, phone.get(await request_options(client)))
    headers = bearer(fresh)
    assert (await client.delete(path, headers=headers)).status_code == 204


async def test_owner_renames_and_deletes_passkeys(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    await registered(client, ada)
    newest, oldest = (await client.get(PASSKEYS, headers=ada)).json()
    assert (newest["name"], newest["last_used_at"]) == ("Phone", None)
    path = f"{PASSKEYS}/{oldest['id']}"
    renamed = await client.patch(path, json={"name": " Key\u3000 2\n"}, headers=ada)
    assert renamed.json()["name"] == "Key 2"
    for wrong in ["", " ", "Key\n2", "Key\u202e2", "\0", "x" * 65]:
        reply = await client.patch(path, json={"name": wrong}, headers=ada)
        assert reply.status_code == 422
    eve = await new_user(client, "eve@example.com")
    assert (await client.patch(path, json={"name": "x"}, headers=eve)).status_code == 404
    assert (await client.delete(path, headers=eve)).status_code == 404
    assert (await client.delete(path, headers=ada)).status_code == 204
    assert (await client.delete(path, headers=ada)).status_code == 404
    assert (await answer(client, phone.get(await request_options(client)))).status_code == 401


async def test_known_authenticators_are_excluded(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    options = await creation_options(client, ada)
    excluded = [known["id"] for known in options["excludeCredentials"]]
    assert excluded == [encoded(phone.credential_id)]


async def test_passkey_of_an_inactive_account_is_refused(
    client: httpx2.AsyncClient, ada: dict[str, str], database: RolledBackDatabase
) -> None:
    phone = await registered(client, ada)
    async with database.transaction() as session:
        await session.exec(update(User).values(is_active=False))
    assert (await answer(client, phone.get(await request_options(client)))).status_code == 401


async def test_passkey_reactivates_an_account_deactivated_by_its_owner(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    url = "/api/v1/users/me/deactivation"
    ended = await client.post(url, headers=ada, json={"current_password": PASSWORD})
    assert ended.status_code == 204
    back = await answer(client, phone.get(await request_options(client)))
    assert back.status_code == 200
    headers = bearer(back)
    assert (await client.get("/api/v1/users/me", headers=headers)).json()["is_active"]


async def test_password_still_works_with_a_passkey(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    await registered(client, ada)
    assert (await log_in(client, ADA)).status_code == 200


class TestWithoutPasskeys:
    """PASSKEY_RP_ID is not set."""

    @pytest.fixture
    def settings(self, make_settings: Callable[[str], Settings], database_url: str) -> Settings:
        return make_settings(database_url)

    async def test_passkeys_are_disabled(
        self, client: httpx2.AsyncClient, ada: dict[str, str]
    ) -> None:
        reply = await client.post(f"{LOGIN}/options")
        assert reply.status_code == 404
        assert "PASSKEY_RP_ID" in reply.json()["detail"]
        reply = await client.post(OPTIONS, json={}, headers=ada)
        assert reply.status_code == 404
