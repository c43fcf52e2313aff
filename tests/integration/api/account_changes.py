"""An account that other requests change, on a database with real commits."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pyotp
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import Executable, NullPool, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.passkeys import PasskeySettings  # slice: passkeys
from fastapi_base.core.security.passwords import hash_password
from fastapi_base.main import create_app
from fastapi_base.models import (
    LoginSession,
    TotpFactor,
    User,
)
from tests.calling import calling
from tests.integration.accounts import PASSWORD, new_user
from tests.integration.changing import SlowHasher, account_lock, open_slow
from tests.integration.providers import real_provider  # slice: oidc

ADA = "ada@example.com"
LOCK = account_lock(ADA)
NEW = "an entirely different password"
API = "/api/v1"
type Headers = dict[str, str]
type Change = Callable[[], Awaitable[None]]
# The effect of a password reset by mail in another process.
RESET = (
    update(User).values(password_hash=hash_password(NEW, 4)),
    update(LoginSession).values(revoked_at=func.now(), revoked_reason="password-reset"),
)
SHUT_OUT = (
    update(User).values(is_active=False),
    update(LoginSession).values(revoked_at=func.now(), revoked_reason="deactivated"),
)
LOGGED_OUT = (update(LoginSession).values(revoked_at=func.now(), revoked_reason="logout"),)
NO_FACTOR = (delete(TotpFactor),)
OTHER_FACTOR = (update(TotpFactor).values(confirmed_at=text("now() + interval '1 second'")),)


# begin slice: oidc
@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider at which Ada's address is verified."""
    with real_provider({"ada": {"email": ADA, "email_verified": True}}) as found:
        yield found


# end slice: oidc


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], fresh_database_url: str) -> Settings:
    """Settings of a database of its own, with passkeys."""
    found = make_settings(fresh_database_url)
    # begin slice: passkeys
    passkey = PasskeySettings(rp_id="example.com", origins=("https://app.example.com",))
    found = found.model_copy(update={"passkey": passkey})
    # end slice: passkeys
    return found


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """An application with real commits and several connections."""
    return create_app(settings, open_slow)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls the application with real commits."""
    async with calling(app) as opened:
        yield opened


@pytest.fixture
async def engine(fresh_database_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections separate from the application's."""
    opened = create_async_engine(fresh_database_url, poolclass=NullPool)
    yield opened
    await opened.dispose()


@pytest.fixture
def hasher(app: FastAPI, client: httpx2.AsyncClient) -> SlowHasher:
    """The application's hasher, which can hold results back."""
    found = app.state.resources.hasher
    assert isinstance(found, SlowHasher)
    return found


class Account:
    """Changes to Ada's account by other requests, and its resulting state."""

    def __init__(self, client: httpx2.AsyncClient, engine: AsyncEngine, headers: Headers) -> None:
        self.client, self.engine, self.headers = client, engine, headers

    async def ask(self, method: str, path: str, **body: Any) -> httpx2.Response:
        reply = await self.client.request(method, API + path, json=body, headers=self.headers)
        return reply

    async def run(self, *statements: Executable) -> None:
        async with self.engine.begin() as connection:
            for statement in statements:
                await connection.execute(statement)

    async def count(self, table: Any) -> int:
        async with self.engine.connect() as connection:
            return int(await connection.scalar(select(func.count()).select_from(table)) or 0)

    async def switch_factor_on(self) -> str:
        reply = await self.ask("POST", "/auth/totp", password=PASSWORD)
        secret: str = reply.json()["secret"]
        confirmed = await self.ask("POST", "/auth/totp/confirm", code=pyotp.TOTP(secret).now())
        assert confirmed.status_code == 200, confirmed.text
        await self.run(update(TotpFactor).values(last_step=0))
        return secret

    async def live(self) -> int:
        """The number of valid sessions."""
        async with self.engine.connect() as connection:
            going = select(func.count()).where(
                col(LoginSession.revoked_at).is_(None),
                col(LoginSession.user_id) == col(User.id),
                col(User.is_active),
            )
            return int(await connection.scalar(going) or 0)


@pytest.fixture
async def ada(client: httpx2.AsyncClient, engine: AsyncEngine, redis: Redis) -> Account:
    """On an empty Redis, without the attempts of other tests."""
    return Account(client, engine, await new_user(client, ADA))
