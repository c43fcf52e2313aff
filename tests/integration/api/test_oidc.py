"""Login at identity providers: with a real one, and with one that lies."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import jwt
import pyotp
import pytest
from redis.asyncio import Redis
from sqlalchemy import text, update

from fastapi_base.core.config import Settings
from fastapi_base.core.config.login import OidcSettings
from fastapi_base.models import LoginSession, TotpFactor, User
from tests.integration.accounts import PASSWORD, actions, bearer, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase
from tests.integration.providers import (
    KEY_ID,
    RogueProvider,
    consent,
    query,
    real_provider,
    rogue_provider,
)

pytestmark = pytest.mark.anyio
ADA = "ada@example.com"
OIDC = "/api/v1/auth/oidc"
IDENTITIES = "/api/v1/auth/identities"
USERS: dict[str, dict[str, Any]] = {
    "ada": {"email": "Ada@example.com", "email_verified": True},
    "eve": {"email": ADA, "email_verified": False},
    "truthy": {"email": "truthy@example.com", "email_verified": "false"},
    "nameless": {},
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with real_provider(USERS) as found:
        yield found


@pytest.fixture
def rogue() -> Iterator[RogueProvider]:
    with rogue_provider() as found:
        yield found


def provider(issuer: str, **settings: Any) -> dict[str, Any]:
    page = {"redirect_uri": "https://app.example.com/back"}
    return {"issuer": issuer, "client_id": "app", **page, **settings}


@pytest.fixture
def settings(
    make_settings: Callable[[str], Settings], database_url: str, issuer: str, rogue: RogueProvider
) -> Settings:
    secret = {"client_secret": "s3cret"}
    providers = {"real": provider(issuer, **secret), "rogue": provider(rogue.issuer)}
    oidc = OidcSettings.model_validate({"providers": providers, "timeout": 3})
    return make_settings(database_url).model_copy(update={"oidc": oidc})


async def begin(client: httpx2.AsyncClient, name: str = "real") -> dict[str, str]:
    reply = await client.post(f"{OIDC}/{name}/begin")
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    found: dict[str, str] = reply.json()
    return found


async def finish(
    client: httpx2.AsyncClient, name: str, begun: dict[str, str], **sent: Any
) -> httpx2.Response:
    body = {"transaction": begun["transaction"], **sent}
    return await client.post(f"{OIDC}/{name}/finish", json=body)


async def login(client: httpx2.AsyncClient, subject: str) -> httpx2.Response:
    """A complete login at the real provider."""
    begun = await begin(client)
    return await finish(client, "real", begun, **consent(begun["authorization_url"], subject))


async def link(
    client: httpx2.AsyncClient, headers: dict[str, str], subject: str, **body: Any
) -> httpx2.Response:
    path = f"{OIDC}/real/link"
    reply = await client.post(f"{path}/begin", json=body, headers=headers)
    if reply.status_code != 200:
        return reply
    sent = consent(reply.json()["authorization_url"], subject)
    body = {"transaction": reply.json()["transaction"], **sent}
    return await client.post(f"{path}/finish", json=body, headers=headers)


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


class TestRogue:
    """A provider that lies. Each single lie is refused; without one, the login works."""

    def honest(self, rogue: RogueProvider, asked: dict[str, list[str]]) -> dict[str, Any]:
        """Claims that are correct for the request."""
        now = int(time.time())
        return {
            "iss": rogue.issuer,
            "aud": "app",
            "sub": "ada",
            "iat": now,
            "exp": now + 60,
            "nonce": asked["nonce"][0],
            "email": ADA,
            "email_verified": True,
        }

    async def attempt(
        self, client: httpx2.AsyncClient, rogue: RogueProvider, **sent: Any
    ) -> httpx2.Response:
        begun = await begin(client, "rogue")
        rogue.asked = asked = query(begun["authorization_url"])
        told = self.honest(rogue, asked) | rogue.lies
        rogue.claims = {name: value for name, value in told.items() if value is not None}
        return await finish(
            client, "rogue", begun, **({"code": "c", "state": asked["state"][0]} | sent)
        )

    async def test_honest_provider_is_accepted(
        self, client: httpx2.AsyncClient, rogue: RogueProvider
    ) -> None:
        assert (await self.attempt(client, rogue)).status_code == 200
        (sent,) = rogue.requests
        assert sent["redirect_uri"] == ["https://app.example.com/back"]
        # PKCE: the challenge in the URL is the digest of the verifier sent with the code (RFC 7636,
        # 4.6).
        digest = hashlib.sha256(sent["code_verifier"][0].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert rogue.asked["code_challenge"] == [challenge]

    @pytest.mark.parametrize(
        "lie",
        [
            {"nonce": "another"},
            {"nonce": None},
            {"iss": "https://accounts.example.com"},
            {"iss": None},
            {"aud": "another-app"},
            {"aud": ["another-app"], "azp": "app"},
            {"aud": ["app", "another-app"], "azp": "another-app"},
            {"aud": None},
            {"exp": 1_000_000_000},
            {"exp": None},
            {"iat": 32_000_000_000},
            {"sub": None},
            {"sub": ""},
            {"sub": 5},
            {"sub": "x" * 256},
            {"sub": "a\0b"},
            {"sub": "\ud800"},
        ],
        ids=str,
    )
    async def test_invalid_claims_are_refused(
        self, client: httpx2.AsyncClient, rogue: RogueProvider, lie: dict[str, Any]
    ) -> None:
        rogue.lies = lie
        reply = await self.attempt(client, rogue)
        assert reply.status_code == 401, reply.text
        assert reply.json()["type"] == "urn:fastapi-base:provider-login-refused"

    @pytest.mark.parametrize(("seconds", "expected"), [(55, 200), (75, 401)])
    @pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
    async def test_small_clock_skew_of_the_provider_is_accepted(
        self,
        client: httpx2.AsyncClient,
        rogue: RogueProvider,
        claim: str,
        seconds: int,
        expected: int,
    ) -> None:
        direction = -1 if claim == "exp" else 1
        rogue.lies = {claim: int(time.time()) + direction * seconds}
        assert (await self.attempt(client, rogue)).status_code == expected

    async def forged(
        self, client: httpx2.AsyncClient, rogue: RogueProvider, forge: Callable[[Any], str]
    ) -> int:
        """The status of a login with an ID token of which only the claims are valid."""
        begun = await begin(client, "rogue")
        asked = query(begun["authorization_url"])
        rogue.token = forge(self.honest(rogue, asked))
        sent = {"code": "c", "state": asked["state"][0]}
        return (await finish(client, "rogue", begun, **sent)).status_code

    async def test_invalid_signatures_are_refused(
        self, client: httpx2.AsyncClient, rogue: RogueProvider
    ) -> None:
        """Although its metadata also announces `none` and HS256."""
        headers = {"kid": KEY_ID}
        modulus = rogue.keys()["keys"][0]["n"]
        with rogue_provider() as other:
            forgeries: list[Callable[[Any], str]] = [
                lambda claims: jwt.encode(claims, "", algorithm="none", headers=headers),
                lambda claims: jwt.encode(claims, modulus, algorithm="HS256", headers=headers),
                lambda claims: other.sign(claims),
                lambda claims: rogue.sign(claims)[:-4] + "AAAA",
                lambda claims: "x.y.z",
                lambda claims: "",
            ]
            for forge in forgeries:
                assert await self.forged(client, rogue, forge) == 401
        assert await self.forged(client, rogue, rogue.sign) == 200

    async def test_mix_up_attack_is_refused(
        self, client: httpx2.AsyncClient, rogue: RogueProvider
    ) -> None:
        """RFC 9207: the response of one provider, presented in the transaction of another."""
        foreign = await self.attempt(client, rogue, iss="https://honest.example.com")
        assert foreign.status_code == 401
        # It did not receive the code, which may belong to another provider.
        assert not rogue.requests
        assert (await self.attempt(client, rogue, iss=rogue.issuer)).status_code == 200
        begun = await begin(client, "rogue")
        state = query(begun["authorization_url"])["state"][0]
        reply = await finish(client, "real", begun, code="c", state=state)
        assert reply.json()["type"] == "urn:fastapi-base:invalid-challenge"

    async def test_announced_issuer_parameter_is_required(
        self, client: httpx2.AsyncClient, rogue: RogueProvider
    ) -> None:
        rogue.metadata = {"authorization_response_iss_parameter_supported": True}
        assert (await self.attempt(client, rogue)).status_code == 401
        assert (await self.attempt(client, rogue, iss=rogue.issuer)).status_code == 200

    @pytest.mark.parametrize(
        "metadata",
        [
            {"issuer": "https://honest.example.com"},
            {"token_endpoint": None},
            {"jwks_uri": "file:///etc/passwd"},
        ],
    )
    async def test_invalid_discovery_document_is_refused(
        self, client: httpx2.AsyncClient, rogue: RogueProvider, metadata: dict[str, Any]
    ) -> None:
        rogue.metadata = metadata
        reply = await client.post(f"{OIDC}/rogue/begin")
        assert reply.status_code == 503
        assert "rogue" in reply.json()["detail"]

    async def test_metadata_cannot_weaken_the_authorization_request(
        self, client: httpx2.AsyncClient, rogue: RogueProvider
    ) -> None:
        """Other published metadata is not passed on to the client."""
        rogue.metadata = {
            "verify": False,
            "timeout": 0,
            "proxy": "http://127.0.0.1:9",
            "scope": "x",
        }
        assert (await self.attempt(client, rogue)).status_code == 200

    async def test_refusal_by_the_provider_is_reported(
        self, client: httpx2.AsyncClient, rogue: RogueProvider
    ) -> None:
        rogue.status = 400
        assert (await self.attempt(client, rogue)).status_code == 401
