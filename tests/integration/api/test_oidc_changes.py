"""Links to identity providers are checked when they take effect, despite races."""

import asyncio
from collections.abc import Awaitable

import httpx2
import pyotp
import pytest
from sqlalchemy import Executable, delete
from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_base.core.config import Settings
from fastapi_base.core.config.oidc import OidcSettings
from fastapi_base.models import ExternalIdentity
from tests.integration.api import account_changes
from tests.integration.api.account_changes import (
    API,
    LOCK,
    LOGGED_OUT,
    RESET,
    SHUT_OUT,
    Account,
)
from tests.integration.changing import while_locked
from tests.integration.providers import consent

pytestmark = pytest.mark.anyio
issuer = account_changes.issuer
settings = account_changes.settings
app = account_changes.app
client = account_changes.client
engine = account_changes.engine
ada = account_changes.ada


class TestProvider:
    """Changes between the provider's response and its effect."""

    @pytest.fixture
    def settings(self, settings: Settings, issuer: str) -> Settings:
        page = "https://app.example.com/back"
        known = {"issuer": issuer, "client_id": "app", "client_secret": "s3cret"}
        given = {"providers": {"real": {**known, "redirect_uri": page}}, "timeout": 10}
        return settings.model_copy(update={"oidc": OidcSettings.model_validate(given)})

    async def back(self, ada: Account, step: str = "") -> Awaitable[httpx2.Response]:
        """The request that completes a login or a link at the provider."""
        path = f"/auth/oidc/real{step}"
        begun = (await ada.ask("POST", f"{path}/begin")).json()
        sent = await asyncio.to_thread(consent, begun["authorization_url"], "ada")
        return ada.ask("POST", f"{path}/finish", transaction=begun["transaction"], **sent)

    async def link(self, ada: Account) -> None:
        assert (await (await self.back(ada, "/link"))).status_code == 201

    @pytest.mark.parametrize(
        "changes",
        [(delete(ExternalIdentity), *LOGGED_OUT), SHUT_OUT],
        ids=["unlinked", "shut out"],
    )
    async def test_login_concurrent_with_a_change_is_refused(
        self, ada: Account, engine: AsyncEngine, changes: tuple[Executable, ...]
    ) -> None:
        await self.link(ada)
        reply = await while_locked(engine, LOCK, changes, await self.back(ada))
        assert reply.status_code == 401
        assert reply.json()["type"] == "urn:fastapi-base:provider-login-refused"
        assert await ada.live() == 0

    async def test_challenge_is_void_when_the_link_was_removed(
        self, ada: Account, client: httpx2.AsyncClient
    ) -> None:
        await self.link(ada)
        code = pyotp.TOTP(await ada.switch_factor_on())
        challenge = (await (await self.back(ada))).json()["challenge"]
        await ada.run(delete(ExternalIdentity))
        body = {"challenge": challenge, "code": code.now()}
        reply = await client.post(f"{API}/auth/login/second-factor", json=body)
        assert reply.status_code == 401
        assert await ada.live() == 1

    @pytest.mark.parametrize("changes", [RESET, LOGGED_OUT], ids=["reset", "logged out"])
    async def test_is_not_linked_by_an_ended_session(
        self, ada: Account, engine: AsyncEngine, changes: tuple[Executable, ...]
    ) -> None:
        finish = await self.back(ada, "/link")
        assert (await while_locked(engine, LOCK, changes, finish)).status_code == 401
        assert await ada.count(ExternalIdentity) == 0

    async def test_link_started_before_a_reset_is_void(self, ada: Account) -> None:
        finish = await self.back(ada, "/link")
        await ada.run(RESET[0])
        assert (await finish).status_code == 409
        assert await ada.count(ExternalIdentity) == 0
