"""Passkeys are checked when they take effect, despite races."""

import httpx2
import pytest
from sqlalchemy import Executable, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from fastapi_base.models import Passkey
from tests.integration.accounts import new_user
from tests.integration.api import account_changes
from tests.integration.api.account_changes import (
    ADA,
    API,
    LOCK,
    LOGGED_OUT,
    RESET,
    SHUT_OUT,
    Account,
)
from tests.integration.authenticator import Authenticator
from tests.integration.changing import while_locked

pytestmark = pytest.mark.anyio
settings = account_changes.settings
app = account_changes.app
client = account_changes.client
engine = account_changes.engine
ada = account_changes.ada


class TestPasskey:
    """Changes between the assertion and its effect."""

    async def made(self, ada: Account) -> Authenticator:
        phone = Authenticator()
        reply = await self.add(ada, phone)
        assert reply.status_code == 201, reply.text
        return phone

    async def add(self, ada: Account, phone: Authenticator) -> httpx2.Response:
        options = (await ada.ask("POST", "/auth/passkey-options")).json()["public_key"]
        return await ada.ask(
            "POST", "/auth/passkeys", name="Phone", credential=phone.create(options)
        )

    async def log_in(self, ada: Account, phone: Authenticator) -> httpx2.Response:
        options = (await ada.ask("POST", "/auth/login/passkey/options")).json()["public_key"]
        path = f"{API}/auth/login/passkey"
        return await ada.client.post(path, json={"credential": phone.get(options)})

    @pytest.mark.parametrize(
        "changes",
        [(delete(Passkey), *LOGGED_OUT), SHUT_OUT, RESET],
        ids=["removed", "shut out", "reset"],
    )
    async def test_login_concurrent_with_a_change_is_refused(
        self, ada: Account, engine: AsyncEngine, changes: tuple[Executable, ...]
    ) -> None:
        phone = await self.made(ada)
        reply = await while_locked(engine, LOCK, changes, self.log_in(ada, phone))
        assert reply.status_code == 401
        assert reply.json()["type"] == "urn:fastapi-base:invalid-passkey"
        assert await ada.live() == 0

    @pytest.mark.parametrize("changes", [RESET, LOGGED_OUT], ids=["reset", "logged out"])
    async def test_is_not_added_by_an_ended_session(
        self, ada: Account, engine: AsyncEngine, changes: tuple[Executable, ...]
    ) -> None:
        reply = await while_locked(engine, LOCK, changes, self.add(ada, Authenticator()))
        assert reply.status_code == 401
        assert await ada.count(Passkey) == 0

    async def test_options_are_void_after_a_reset_and_in_another_session(
        self, ada: Account, client: httpx2.AsyncClient
    ) -> None:
        options = [
            (await ada.ask("POST", "/auth/passkey-options")).json()["public_key"] for _ in range(2)
        ]
        other = Account(client, ada.engine, await new_user(client, ADA))
        await ada.run(RESET[0])
        for account, expected in [(other, 401), (ada, 409)]:
            made = Authenticator().create(options.pop())
            reply = await account.ask("POST", "/auth/passkeys", name="Phone", credential=made)
            assert reply.status_code == expected, reply.text
        assert await ada.count(Passkey) == 0

    async def test_is_not_removed_by_an_ended_session(
        self, ada: Account, engine: AsyncEngine
    ) -> None:
        await self.made(ada)
        async with engine.connect() as connection:
            passkey = await connection.scalar(select(col(Passkey.id)))
        removal = ada.ask("DELETE", f"/auth/passkeys/{passkey}")
        assert (await while_locked(engine, LOCK, RESET, removal)).status_code == 401
        assert await ada.count(Passkey) == 1
