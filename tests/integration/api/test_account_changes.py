"""A password or token is checked against the account's state when it takes effect."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pyotp
import pytest
from sqlalchemy import Executable, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.core.security.passwords import hash_password
from fastapi_base.models import (
    EmailChange,  # slice: email-change
    OneTimeToken,
    TotpFactor,
    User,
)
from fastapi_base.services.identity import single_use_tokens
from fastapi_base.services.identity.single_use_tokens import Purpose
from tests.integration.accounts import PASSWORD
from tests.integration.api import account_changes
from tests.integration.api.account_changes import ADA, LOCK, NEW, RESET, SHUT_OUT, Account
from tests.integration.changing import SlowHasher, while_locked
from tests.integration.mailing import Inbox

pytestmark = pytest.mark.anyio
settings = account_changes.settings
app = account_changes.app
client = account_changes.client
engine = account_changes.engine
hasher = account_changes.hasher
ada = account_changes.ada
ACTS: dict[str, Callable[[Account, pyotp.TOTP], Awaitable[httpx2.Response]]] = {
    "password": lambda ada, _: ada.ask(
        "PUT", "/users/me/password", current_password=PASSWORD, new_password=NEW + "!"
    ),
    "deactivation": lambda ada, _: ada.ask(
        "POST", "/users/me/deactivation", current_password=PASSWORD
    ),
    "deletion": lambda ada, _: ada.ask("POST", "/users/me/deletion", current_password=PASSWORD),
    # begin slice: email-change
    "email change": lambda ada, _: ada.ask(
        "POST", "/users/me/email-change", current_password=PASSWORD, new_email="ada@example.org"
    ),
    # end slice: email-change
    "recovery codes": lambda ada, code: ada.ask(
        "POST", "/auth/totp/recovery-codes", password=PASSWORD, code=code.now()
    ),
    "factor off": lambda ada, code: ada.ask(
        "POST", "/auth/totp/disable", password=PASSWORD, code=code.now()
    ),
}


class TestActs:
    """Operations that require the current password."""

    @pytest.fixture
    def settings(self, settings: Settings, inbox: Inbox) -> Settings:
        return settings.model_copy(update={"mail": inbox.settings})

    @pytest.mark.parametrize("act", ACTS)
    async def test_concurrent_with_a_reset_change_nothing(
        self, ada: Account, engine: AsyncEngine, act: str
    ) -> None:
        # With mail, enabling a second factor requires a confirmed address.
        await ada.run(update(User).values(email_verified_at=text("now()")))
        code = pyotp.TOTP(await ada.switch_factor_on())

        async def state() -> list[Any]:
            async with engine.connect() as connection:
                rows = select(
                    *(col(User.is_active), col(User.delete_after), col(User.email)),
                    *(col(TotpFactor.secret), col(TotpFactor.confirmed_at)),
                ).where(col(TotpFactor.user_id) == col(User.id))
                codes = await connection.execute(text("SELECT digest FROM recovery_codes"))
                hashed = await connection.scalar(select(col(User.password_hash)))
                return [*await connection.execute(rows), *sorted(map(str, codes)), hashed]

        before = await state()
        reply = await while_locked(engine, LOCK, RESET, ACTS[act](ada, code))
        assert reply.status_code == 401, reply.text
        after = await state()
        assert after[-1] == RESET[0].compile().params["password_hash"]
        assert after[:-1] == before[:-1]
        assert await ada.count(EmailChange) == 0  # slice: email-change

    async def test_with_an_outdated_password_are_refused(
        self, ada: Account, hasher: SlowHasher
    ) -> None:
        """The caller's session is still valid; the password it confirmed with is not."""
        other = Account(ada.client, ada.engine, ada.headers)
        async with hasher.held():
            act = asyncio.create_task(
                ada.ask("POST", "/users/me/deactivation", current_password=PASSWORD)
            )
            await asyncio.wait_for(hasher.checked.wait(), 30)
            body = {"current_password": PASSWORD, "new_password": NEW}
            assert (await other.ask("PUT", "/users/me/password", **body)).status_code == 204
        reply = await act
        assert (reply.status_code, reply.json()["type"]) == (
            409,
            "urn:fastapi-base:account-changed",
        )
        assert await ada.live() == 1


class TestLinksOfMails:
    """Changes between the check of a token and its use."""

    @pytest.fixture
    def settings(self, settings: Settings, inbox: Inbox) -> Settings:
        return settings.model_copy(update={"mail": inbox.settings})

    @pytest.mark.parametrize(
        "changes",
        [
            (update(User).values(email="other@example.com"),),
            (delete(OneTimeToken),),
            SHUT_OUT,
        ],
        ids=["address changed", "password changed", "shut out"],
    )
    async def test_reset_concurrent_with_a_change_sets_no_password(
        self, ada: Account, engine: AsyncEngine, changes: tuple[Executable, ...]
    ) -> None:
        async with AsyncSession(engine) as session, session.begin():
            user_id = await session.scalar(select(col(User.id)))
            assert user_id
            token = await single_use_tokens.issue(
                session, user_id, Purpose.RESET, ADA, timedelta(hours=1)
            )
        reset = ada.ask("POST", "/auth/password-reset/confirm", token=token, new_password=NEW)
        reply = await while_locked(engine, LOCK, changes, reset)
        assert reply.json()["type"] == "urn:fastapi-base:invalid-link"
        async with engine.connect() as connection:
            stored = await connection.scalar(select(col(User.password_hash)))
        assert stored != hash_password(NEW, 4)
