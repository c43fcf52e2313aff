"""A login is checked against the account's state when it takes effect, despite races."""

import asyncio

import httpx2
import pyotp
import pytest
from sqlalchemy import Executable, delete, func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from fastapi_base.core.security.passwords import hash_password
from fastapi_base.models import (
    TotpFactor,
    User,
)
from tests.integration.accounts import PASSWORD, log_in
from tests.integration.api import account_changes
from tests.integration.api.account_changes import (
    ADA,
    API,
    LOCK,
    NEW,
    NO_FACTOR,
    OTHER_FACTOR,
    RESET,
    SHUT_OUT,
    Account,
    Change,
)
from tests.integration.changing import SlowHasher, while_locked
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
settings = account_changes.settings
app = account_changes.app
client = account_changes.client
engine = account_changes.engine
hasher = account_changes.hasher
ada = account_changes.ada


class TestPasswordInAQueue:
    """A login whose password is being hashed while the account changes."""

    async def login(
        self, client: httpx2.AsyncClient, hasher: SlowHasher, change: Change
    ) -> httpx2.Response:
        async with hasher.held():
            login = asyncio.create_task(log_in(client, ADA))
            await asyncio.wait_for(hasher.checked.wait(), 30)
            await change()
        return await login

    async def test_old_password_gives_no_session_after_a_change(
        self, client: httpx2.AsyncClient, hasher: SlowHasher, ada: Account
    ) -> None:
        async def change() -> None:
            body = {"current_password": PASSWORD, "new_password": NEW}
            assert (await ada.ask("PUT", "/users/me/password", **body)).status_code == 204

        reply = await self.login(client, hasher, change)
        assert reply.status_code == 401
        assert reply.json()["type"] == "urn:fastapi-base:invalid-credentials"
        # The session that changed the password.
        assert await ada.live() == 1

    @pytest.mark.parametrize("changes", [RESET, SHUT_OUT], ids=["reset", "shut out"])
    async def test_old_password_gives_no_session_after_a_reset(
        self,
        client: httpx2.AsyncClient,
        hasher: SlowHasher,
        ada: Account,
        changes: tuple[Executable, ...],
    ) -> None:
        reply = await self.login(client, hasher, lambda: ada.run(*changes))
        assert reply.status_code == 401
        assert await ada.live() == 0

    async def test_requires_a_code_when_a_second_factor_was_enabled(
        self, client: httpx2.AsyncClient, hasher: SlowHasher, ada: Account
    ) -> None:
        async def change() -> None:
            await ada.switch_factor_on()

        reply = await self.login(client, hasher, change)
        assert reply.status_code == 401
        assert reply.json()["type"] == "urn:fastapi-base:second-factor-required"
        assert await ada.live() == 1

    @pytest.mark.parametrize("how", ["deactivation", "deletion"])
    async def test_does_not_undo_a_deactivation_by_the_owner(
        self, client: httpx2.AsyncClient, hasher: SlowHasher, ada: Account, how: str
    ) -> None:
        async def change() -> None:
            reply = await ada.ask("POST", f"/users/me/{how}", current_password=PASSWORD)
            assert reply.is_success

        assert (await self.login(client, hasher, change)).status_code == 401
        assert await ada.live() == 0
        # The next login does.
        assert (await log_in(client, ADA)).status_code == 200

    async def test_old_address_gives_no_session_after_a_change(
        self, client: httpx2.AsyncClient, hasher: SlowHasher, ada: Account
    ) -> None:
        async def change() -> None:
            await ada.run(update(User).values(email="ada@example.org"))

        assert (await self.login(client, hasher, change)).status_code == 401
        assert await ada.live() == 1

    async def test_stays_valid_when_another_login_rehashes_it(
        self, client: httpx2.AsyncClient, hasher: SlowHasher, ada: Account
    ) -> None:
        again = update(User).values(password_hash=hash_password(PASSWORD, 4))
        reply = await self.login(client, hasher, lambda: ada.run(again))
        assert reply.status_code == 200
        assert await ada.live() == 2


@pytest.mark.parametrize(
    "changes",
    [RESET, SHUT_OUT, (delete(User),)],
    ids=["reset", "shut out", "removed"],
)
async def test_login_waits_for_a_concurrent_change_and_is_refused(
    client: httpx2.AsyncClient, ada: Account, engine: AsyncEngine, changes: tuple[Executable, ...]
) -> None:
    reply = await while_locked(engine, LOCK, changes, log_in(client, ADA))
    assert reply.status_code == 401, reply.text
    assert await ada.live() == 0


async def test_login_concurrent_with_enabling_a_second_factor_requires_a_code(
    client: httpx2.AsyncClient, ada: Account, engine: AsyncEngine
) -> None:
    factor = select(col(User.id), literal(b"encrypted"), func.now())
    on = insert(TotpFactor).from_select(["user_id", "secret", "confirmed_at"], factor)
    reply = await while_locked(engine, LOCK, [on], log_in(client, ADA))
    assert reply.json()["type"] == "urn:fastapi-base:second-factor-required"
    assert await ada.live() == 1


async def test_reset_concurrent_with_a_login_ends_its_session(
    client: httpx2.AsyncClient, ada: Account, engine: AsyncEngine
) -> None:
    """The other order: the login locks the account's row first."""
    async with engine.connect() as connection, connection.begin():
        # The login waits for this lock while it holds the row.
        await connection.execute(text("LOCK TABLE audit_events IN SHARE MODE"))
        login = asyncio.create_task(log_in(client, ADA))

        async def waits() -> bool | None:
            async with engine.connect() as other:
                blocked = text(
                    "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database()"
                )
                return True if await other.scalar(blocked) else None

        async def reset() -> None:
            async with engine.begin() as other:
                for change in RESET:
                    await other.execute(change)

        await until(waits, "the login waits")
        resetting = asyncio.create_task(reset())
    assert (await login).status_code == 200
    await resetting
    assert await ada.live() == 0


class TestSecondFactor:
    """Changes between the challenge and the session."""

    async def challenge(self, client: httpx2.AsyncClient) -> str:
        found: str = (await log_in(client, ADA)).json()["challenge"]
        return found

    @pytest.mark.parametrize(
        "changes",
        [RESET, SHUT_OUT, NO_FACTOR, OTHER_FACTOR],
        ids=["reset", "shut out", "factor removed", "factor made anew"],
    )
    async def test_challenge_from_before_a_change_gives_no_session(
        self,
        client: httpx2.AsyncClient,
        ada: Account,
        engine: AsyncEngine,
        changes: tuple[Executable, ...],
    ) -> None:
        code = pyotp.TOTP(await ada.switch_factor_on())
        live = await ada.live() if changes in (NO_FACTOR, OTHER_FACTOR) else 0
        path = f"{API}/auth/login/second-factor"
        body = {"challenge": await self.challenge(client), "code": code.now()}
        late = await while_locked(engine, LOCK, changes, client.post(path, json=body))
        assert late.status_code == 401
        assert late.json()["type"] == "urn:fastapi-base:invalid-challenge"
        assert await ada.live() == live

    @pytest.mark.parametrize(
        "changes", [NO_FACTOR, OTHER_FACTOR], ids=["factor removed", "factor made anew"]
    )
    async def test_challenge_is_void_when_the_factor_was_replaced(
        self, client: httpx2.AsyncClient, ada: Account, changes: tuple[Executable, ...]
    ) -> None:
        code = pyotp.TOTP(await ada.switch_factor_on())
        body = {"challenge": await self.challenge(client), "code": code.now()}
        await ada.run(*changes)
        reply = await client.post(f"{API}/auth/login/second-factor", json=body)
        assert reply.json()["type"] == "urn:fastapi-base:invalid-challenge"
        assert await ada.live() == 1

    async def test_is_not_enabled_by_an_ended_session(
        self, ada: Account, engine: AsyncEngine
    ) -> None:
        secret = (await ada.ask("POST", "/auth/totp", password=PASSWORD)).json()["secret"]
        confirm = ada.ask("POST", "/auth/totp/confirm", code=pyotp.TOTP(secret).now())
        reply = await while_locked(engine, LOCK, RESET, confirm)
        assert reply.status_code == 401
        async with engine.connect() as connection:
            assert await connection.scalar(select(col(TotpFactor.confirmed_at))) is None
