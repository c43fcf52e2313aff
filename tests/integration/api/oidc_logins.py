"""Logins at two identity providers: a real one, and one that lies."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from fastapi_base.core.config import Settings
from fastapi_base.core.config.oidc import OidcSettings
from tests.integration.providers import (
    RogueProvider,
    consent,
    real_provider,
    rogue_provider,
)

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
    """The real provider."""
    with real_provider(USERS) as found:
        yield found


@pytest.fixture
def rogue() -> Iterator[RogueProvider]:
    """The provider that lies."""
    with rogue_provider() as found:
        yield found


def provider(issuer: str, **settings: Any) -> dict[str, Any]:
    """The settings of a provider."""
    page = {"redirect_uri": "https://app.example.com/back"}
    return {"issuer": issuer, "client_id": "app", **page, **settings}


@pytest.fixture
def settings(
    make_settings: Callable[[str], Settings], database_url: str, issuer: str, rogue: RogueProvider
) -> Settings:
    """Settings with both providers."""
    secret = {"client_secret": "s3cret"}
    providers = {"real": provider(issuer, **secret), "rogue": provider(rogue.issuer)}
    oidc = OidcSettings.model_validate({"providers": providers, "timeout": 3})
    return make_settings(database_url).model_copy(update={"oidc": oidc})


async def begin(client: httpx2.AsyncClient, name: str = "real") -> dict[str, str]:
    """Start a login at the provider."""
    reply = await client.post(f"{OIDC}/{name}/begin")
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    found: dict[str, str] = reply.json()
    return found


async def finish(
    client: httpx2.AsyncClient, name: str, begun: dict[str, str], **sent: Any
) -> httpx2.Response:
    """Complete a login with what the provider sent to the page."""
    body = {"transaction": begun["transaction"], **sent}
    return await client.post(f"{OIDC}/{name}/finish", json=body)


async def login(client: httpx2.AsyncClient, subject: str) -> httpx2.Response:
    """A complete login at the real provider."""
    begun = await begin(client)
    return await finish(client, "real", begun, **consent(begun["authorization_url"], subject))


async def link(
    client: httpx2.AsyncClient, headers: dict[str, str], subject: str, **body: Any
) -> httpx2.Response:
    """Link the caller's account with the subject at the real provider."""
    path = f"{OIDC}/real/link"
    reply = await client.post(f"{path}/begin", json=body, headers=headers)
    if reply.status_code != 200:
        return reply
    sent = consent(reply.json()["authorization_url"], subject)
    body = {"transaction": reply.json()["transaction"], **sent}
    return await client.post(f"{path}/finish", json=body, headers=headers)
