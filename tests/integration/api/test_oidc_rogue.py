"""An identity provider that lies gets nobody in."""

import base64
import hashlib
import time
from collections.abc import Callable
from typing import Any

import httpx2
import jwt
import pytest

from tests.integration.api import oidc_logins
from tests.integration.api.oidc_logins import ADA, OIDC, begin, finish
from tests.integration.providers import (
    KEY_ID,
    RogueProvider,
    query,
    rogue_provider,
)

pytestmark = pytest.mark.anyio
issuer = oidc_logins.issuer
rogue = oidc_logins.rogue
settings = oidc_logins.settings


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
