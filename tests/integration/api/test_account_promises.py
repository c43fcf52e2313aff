"""Statements of docs/security.md about accounts and API keys that no other test covers."""

from collections.abc import Iterator

import httpx2
import jwt
import pyotp
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from redis.asyncio import Redis
from sqlalchemy import text, update

from fastapi_base.core.config import Settings
from fastapi_base.core.config.oidc import OidcSettings  # slice: oidc
from fastapi_base.core.config.passkeys import PasskeySettings  # slice: passkeys
from fastapi_base.core.security.api_key import new_key
from fastapi_base.core.security.scopes import Scope
from fastapi_base.models import LoginSession
from tests.integration.accounts import (
    PASSWORD,
    authorization,
    bearer,
    confirmed_user,
    log_in,
    new_superuser,
)
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox
from tests.integration.providers import log_in_at, real_provider  # slice: oidc
from tests.integration.queries import counted
from tests.unit.api.rules import rules

pytestmark = pytest.mark.anyio
ADA = "ada@example.com"
ME, KEYS = "/api/v1/users/me", "/api/v1/api-keys"
NEW = "an entirely different password"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with mail and passkeys."""
    found = settings.model_copy(update={"mail": inbox.settings})
    # begin slice: passkeys
    passkey = PasskeySettings(rp_id="example.com", origins=("https://app.example.com",))
    found = found.model_copy(update={"passkey": passkey})
    # end slice: passkeys
    return found


async def key_of(client: httpx2.AsyncClient, headers: dict[str, str], *scopes: str) -> str:
    body = {"name": "x", "scopes": list(scopes)}
    reply = await client.post(KEYS, json=body, headers=headers)
    assert reply.status_code == 201, reply.text
    found: str = reply.json()["key"]
    return found


async def test_api_key_is_refused_by_every_session_route(
    client: httpx2.AsyncClient, database: RolledBackDatabase, inbox: Inbox, app: FastAPI
) -> None:
    """Even a superuser's key with all scopes cannot manage authentication methods."""
    await confirmed_user(client, inbox, "root@example.com")
    root = await new_superuser(client, database, "root@example.com")
    key = authorization(await key_of(client, root, *map(str, Scope)))
    asked = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute) or rules(route.dependant) != {"session"}:
            continue
        for method in route.methods or ():
            path = (context.path or "").replace(":uuid", "")
            for name in route.param_convertors:
                path = path.replace(f"{{{name}}}", "0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55")
            reply = await client.request(method, path, json={}, headers=key)
            assert reply.status_code == 403, (method, path, reply.text)
            assert reply.json()["type"] == "urn:fastapi-base:session-needed"
            asked.add(path.removeprefix("/api/v1"))
    assert "/auth/passkeys" in asked  # slice: passkeys
    assert "/auth/identities" in asked  # slice: oidc
    assert "/users/me/email-change" in asked  # slice: email-change
    assert {"/auth/totp", "/users/me/deletion"} <= asked
    assert {"/users/me/password", "/sessions", "/api-keys"} <= asked


async def test_malformed_key_causes_no_query(client: httpx2.AsyncClient) -> None:
    good = new_key().value
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    for key, expected in [(good, 1), (wrong, 0), (good[:-1], 0), ("fb_", 0)]:
        with counted() as statements:
            reply = await client.get(ME, headers=authorization(key))
        assert reply.status_code == 401
        assert len(statements) == expected, statements


async def test_password_change_keeps_api_keys(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    ada = await confirmed_user(client, inbox, ADA)
    key = authorization(await key_of(client, ada, "profile:read"))
    body = {"current_password": PASSWORD, "new_password": NEW}
    changed = await client.put(f"{ME}/password", json=body, headers=ada)
    assert changed.status_code == 204
    assert (await client.get(ME, headers=key)).status_code == 200


# begin slice: passkeys
async def test_adding_a_passkey_with_a_second_factor_requires_a_recent_login(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    ada = await confirmed_user(client, inbox, ADA)
    totp, options = "/api/v1/auth/totp", "/api/v1/auth/passkey-options"
    made = await client.post(totp, json={"password": PASSWORD}, headers=ada)
    code = {"code": pyotp.TOTP(made.json()["secret"]).now()}
    assert (await client.post(f"{totp}/confirm", json=code, headers=ada)).status_code == 200
    assert (await client.post(options, json={}, headers=ada)).status_code == 200
    async with database.transaction() as session:
        old = text("now() - interval '11 minutes'")
        await session.exec(update(LoginSession).values(created_at=old))
    reply = await client.post(options, json={"password": PASSWORD}, headers=ada)
    assert (reply.status_code, reply.json()["type"]) == (403, "urn:fastapi-base:login-not-recent")


async def test_challenges_are_stored_by_digest(client: httpx2.AsyncClient, redis: Redis) -> None:
    reply = await client.post("/api/v1/auth/login/passkey/options")
    challenge = reply.json()["public_key"]["challenge"]
    (key,) = await redis.keys("fastapi-base:challenge:*")
    kept = f"{key!r} {await redis.get(key)!r}"
    assert challenge not in kept
    assert 0 < await redis.ttl(key) <= 300


# end slice: passkeys


@pytest.mark.parametrize("how", ["deactivation", "deletion"])
async def test_deactivation_voids_mailed_links(
    client: httpx2.AsyncClient, inbox: Inbox, how: str
) -> None:
    ada = await confirmed_user(client, inbox, ADA)
    await client.post("/api/v1/auth/password-reset", json={"email": ADA})
    token = await inbox.token(ADA, "Set a new password")
    ended = await client.post(f"{ME}/{how}", json={"current_password": PASSWORD}, headers=ada)
    assert ended.is_success
    body = {"token": token, "new_password": NEW}
    reply = await client.post("/api/v1/auth/password-reset/confirm", json=body)
    assert (reply.status_code, reply.json()["type"]) == (400, "urn:fastapi-base:invalid-link")


async def test_authentication_methods_survive_refreshes(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    ada = await confirmed_user(client, inbox, ADA)
    totp = "/api/v1/auth/totp"
    made = await client.post(totp, json={"password": PASSWORD}, headers=ada)
    generator = pyotp.TOTP(made.json()["secret"])
    codes = await client.post(f"{totp}/confirm", json={"code": generator.now()}, headers=ada)
    challenge = (await log_in(client, ADA)).json()["challenge"]
    body = {"challenge": challenge, "recovery_code": codes.json()["recovery_codes"][0]}
    tokens = (await client.post("/api/v1/auth/login/second-factor", json=body)).json()
    body = {"refresh_token": tokens["refresh_token"]}
    tokens = (await client.post("/api/v1/auth/refresh", json=body)).json()
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert claims["amr"] == ["pwd", "otp", "mfa"]


# begin slice: oidc
class TestProviders:
    """With an identity provider."""

    @pytest.fixture
    def settings(self, settings: Settings, issuer: str) -> Settings:
        """The same settings, with the provider."""
        provider = {"issuer": issuer, "client_id": "app", "client_secret": "s3cret"}
        page = {"redirect_uri": "https://app.example.com/back"}
        oidc = OidcSettings.model_validate({"providers": {"real": provider | page}})
        return settings.model_copy(update={"oidc": oidc})

    @pytest.fixture
    def issuer(self) -> Iterator[str]:
        with real_provider({"ada": {"email": ADA, "email_verified": True}}) as found:
            yield found

    async def test_account_without_a_password_sets_one_by_reset(
        self, client: httpx2.AsyncClient, inbox: Inbox
    ) -> None:
        headers = bearer(await log_in_at(client, "real", "ada"))
        assert (await log_in(client, ADA, "!")).status_code == 401
        await client.post("/api/v1/auth/password-reset", json={"email": ADA})
        body = {"token": await inbox.token(ADA, "Set a new password"), "new_password": NEW}
        reply = await client.post("/api/v1/auth/password-reset/confirm", json=body)
        assert reply.status_code == 204
        me = await client.get(ME, headers=bearer(await log_in(client, ADA, NEW)))
        assert me.json()["email"] == ADA
        # The provider stays linked: the e-mail address was already confirmed.
        assert (await log_in_at(client, "real", "ada")).status_code == 200
        assert (await client.get(ME, headers=headers)).status_code == 401


# end slice: oidc
