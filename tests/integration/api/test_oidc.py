"""Login at an identity provider, and links to it."""

import httpx2
import jwt
import pyotp
import pytest
from redis.asyncio import Redis
from sqlalchemy import text, update

from fastapi_base.core.config import Settings
from fastapi_base.models import LoginSession, TotpFactor, User
from tests.integration.accounts import PASSWORD, actions, bearer, log_in, new_user, register
from tests.integration.api import oidc_logins
from tests.integration.api.oidc_logins import ADA, IDENTITIES, OIDC, begin, finish, link, login
from tests.integration.databases import RolledBackDatabase
from tests.integration.providers import (
    consent,
    query,
)

pytestmark = pytest.mark.anyio
issuer = oidc_logins.issuer
rogue = oidc_logins.rogue
settings = oidc_logins.settings


async def test_providers_are_listed(client: httpx2.AsyncClient) -> None:
    listed = (await client.get(OIDC)).json()
    assert listed == [{"name": "real", "label": "real"}, {"name": "rogue", "label": "rogue"}]
    assert (await client.post(f"{OIDC}/other/begin")).status_code == 404


async def test_authorization_request_has_pkce_state_and_nonce(client: httpx2.AsyncClient) -> None:
    first, second = [query((await begin(client))["authorization_url"]) for _ in range(2)]
    assert first["response_type"] == ["code"]
    assert first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == ["https://app.example.com/back"]
    for name in ["state", "nonce", "code_challenge"]:
        assert len(first[name][0]) >= 20
        assert first[name] != second[name]


async def test_first_login_creates_an_account_and_later_logins_find_it(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = bearer(await login(client, "ada"))
    first = (await client.get("/api/v1/users/me", headers=headers)).json()
    assert first["email"] == ADA
    claims = jwt.decode(
        headers["Authorization"].removeprefix("Bearer "), options={"verify_signature": False}
    )
    assert claims["amr"] == ["fed"]
    # Even if the e-mail address changes: issuer and subject are the key.
    async with database.transaction() as session:
        await session.exec(update(User).values(email="new@example.com"))
    again = await client.get("/api/v1/users/me", headers=bearer(await login(client, "ada")))
    assert again.json()["id"] == first["id"]
    (linked,) = (await client.get(IDENTITIES, headers=headers)).json()
    assert (linked["provider"], linked["subject"]) == ("real", "ada")
    assert await actions(database) == [
        "account.registered",
        "identity.linked",
        "login.succeeded",
        "login.succeeded",
    ]
    assert (await log_in(client, "new@example.com", "!")).status_code == 401


async def test_browser_login_sets_a_cookie(client: httpx2.AsyncClient) -> None:
    begun = await begin(client)
    body = {
        "transaction": begun["transaction"],
        **consent(begun["authorization_url"], "ada"),
    }
    ours = {"Sec-Fetch-Site": "same-origin"}
    reply = await client.post(f"{OIDC}/real/finish?mode=cookie", json=body, headers=ours)
    assert reply.status_code == 200
    assert reply.headers["set-cookie"].startswith("__Host-session=bs_")


@pytest.mark.parametrize("subject", ["eve", "truthy", "nameless"])
async def test_unverified_provider_address_is_not_accepted(
    client: httpx2.AsyncClient, subject: str
) -> None:
    await register(client, ADA)
    reply = await login(client, subject)
    assert reply.status_code == 403
    assert reply.json()["type"] == "urn:fastapi-base:email-not-vouched-for"


async def test_account_with_an_unconfirmed_address_is_not_linked(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    """Someone else may have registered the address before its owner came."""
    await register(client, ADA)
    reply = await login(client, "ada")
    assert reply.status_code == 409
    assert reply.json()["type"] == "urn:fastapi-base:account-not-linked"
    assert "identity.linked" not in await actions(database)


async def test_account_with_a_confirmed_address_is_linked(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await register(client, ADA)
    async with database.transaction() as session:
        await session.exec(update(User).values(email_verified_at=text("now()")))
    headers = bearer(await login(client, "ada"))
    (linked,) = (await client.get(IDENTITIES, headers=headers)).json()
    assert linked["subject"] == "ada"
    assert (await actions(database)).count("account.registered") == 1
    # The password still works.
    assert (await log_in(client, ADA)).status_code == 200


async def test_account_with_a_verified_provider_address_is_confirmed(
    client: httpx2.AsyncClient,
) -> None:
    headers = bearer(await login(client, "ada"))
    me = (await client.get("/api/v1/users/me", headers=headers)).json()
    assert me["is_verified"] is True


class TestClosed:
    """AUTH_REGISTRATION=closed."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        auth = settings.auth.model_copy(update={"registration": "closed"})
        return settings.model_copy(update={"auth": auth})

    async def test_closed_registration_creates_no_account(self, client: httpx2.AsyncClient) -> None:
        reply = await login(client, "ada")
        assert reply.status_code == 403
        assert reply.json()["type"] == "urn:fastapi-base:registration-closed"


async def test_owner_links_and_unlinks_providers(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, ADA)
    reply = await link(client, headers, "eve")
    assert reply.status_code == 201, reply.text
    me = await client.get("/api/v1/users/me", headers=bearer(await login(client, "eve")))
    assert me.json()["email"] == ADA
    # One identity per provider, and each identity belongs to one account.
    assert (await link(client, headers, "nameless")).status_code == 409
    other = await new_user(client, "other@example.com")
    assert (await link(client, other, "eve")).status_code == 409
    path = f"{IDENTITIES}/{reply.json()['id']}"
    assert (await client.delete(path, headers=other)).status_code == 404
    assert (await client.delete(path, headers=headers)).status_code == 204
    assert (await client.get(IDENTITIES, headers=headers)).json() == []
    assert (await login(client, "eve")).status_code == 403
    assert {"identity.linked", "identity.unlinked"} <= set(await actions(database))


async def test_linking_requires_a_recent_login_or_the_password(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, ADA)
    async with database.transaction() as session:
        await session.exec(
            update(LoginSession).values(created_at=text("now() - interval '11 minutes'"))
        )
    for body, expected in [({}, 403), ({"password": "wrong"}, 403), ({"password": PASSWORD}, 201)]:
        reply = await link(client, headers, "eve", **body)
        assert reply.status_code == expected
    reply = await client.delete(f"{IDENTITIES}/{reply.json()['id']}", headers=headers)
    assert reply.json()["type"] == "urn:fastapi-base:login-not-recent"


async def test_transaction_is_bound_to_its_purpose(
    client: httpx2.AsyncClient,
) -> None:
    ada = await new_user(client, ADA)
    begun = (await client.post(f"{OIDC}/real/link/begin", json={}, headers=ada)).json()
    sent = consent(begun["authorization_url"], "eve")
    assert (await finish(client, "real", begun, **sent)).status_code == 401
    # Otherwise a page of the attacker's account in the victim's browser would link it.
    eve = await new_user(client, "eve@example.com")
    begun = (await client.post(f"{OIDC}/real/link/begin", json={}, headers=eve)).json()
    body = {"transaction": begun["transaction"], **consent(begun["authorization_url"], "eve")}
    reply = await client.post(f"{OIDC}/real/link/finish", json=body, headers=ada)
    assert reply.status_code == 401
    begun = await begin(client)
    body = {"transaction": begun["transaction"], **consent(begun["authorization_url"], "eve")}
    reply = await client.post(f"{OIDC}/real/link/finish", json=body, headers=ada)
    assert reply.status_code == 401


async def test_second_factor_is_required(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, ADA)
    await link(client, headers, "eve")
    totp = "/api/v1/auth/totp"
    secret = (await client.post(totp, json={"password": PASSWORD}, headers=headers)).json()[
        "secret"
    ]
    code = {"code": pyotp.TOTP(secret).now()}
    assert (await client.post(f"{totp}/confirm", json=code, headers=headers)).status_code == 200
    reply = await login(client, "eve")
    assert reply.status_code == 401
    async with database.transaction() as session:
        await session.exec(update(TotpFactor).values(last_step=0))
    body = {"challenge": reply.json()["challenge"], "code": pyotp.TOTP(secret).now()}
    token = bearer(await client.post("/api/v1/auth/login/second-factor", json=body))
    claims = jwt.decode(
        token["Authorization"].removeprefix("Bearer "), options={"verify_signature": False}
    )
    assert claims["amr"] == ["fed", "otp", "mfa"]


async def test_inactive_account_is_refused(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    assert (await login(client, "ada")).status_code == 200
    async with database.transaction() as session:
        await session.exec(update(User).values(is_active=False))
    assert (await login(client, "ada")).status_code == 401


async def test_provider_response_is_single_use_and_bound_to_its_transaction(
    client: httpx2.AsyncClient, redis: Redis
) -> None:
    begun = await begin(client)
    sent = consent(begun["authorization_url"], "ada")
    # Login CSRF: the attacker's own callback, passed to another person's page.
    other = await begin(client)
    assert (await finish(client, "real", other, **sent)).status_code == 401
    assert (await finish(client, "real", begun, **sent)).status_code == 200
    replayed = await finish(client, "real", begun, **sent)
    assert replayed.json()["type"] == "urn:fastapi-base:invalid-challenge"
    # The same code in another transaction: the provider issued it only once.
    third = await begin(client)
    state = query(third["authorization_url"])["state"][0]
    reply = await finish(client, "real", third, code=sent["code"], state=state)
    assert reply.json()["type"] == "urn:fastapi-base:provider-login-refused"
    lost = await begin(client)
    await redis.flushdb()
    sent = consent(lost["authorization_url"], "ada")
    assert (await finish(client, "real", lost, **sent)).status_code == 401


async def test_wrong_state_consumes_the_transaction(client: httpx2.AsyncClient) -> None:
    begun = await begin(client)
    sent = consent(begun["authorization_url"], "ada")
    assert (await finish(client, "real", begun, **(sent | {"state": "x"}))).status_code == 401
    assert (await finish(client, "real", begun, **sent)).status_code == 401
