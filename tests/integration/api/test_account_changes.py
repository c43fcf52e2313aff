"""Authentication is checked against the account's state when it takes effect, despite races."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pyotp
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import Executable, NullPool, delete, func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.core.config.login import OidcSettings, PasskeySettings
from fastapi_base.core.security.passwords import hash_password
from fastapi_base.main import create_app
from fastapi_base.models import (
    EmailChange,
    ExternalIdentity,
    LoginSession,
    OneTimeToken,
    Passkey,
    TotpFactor,
    User,
)
from fastapi_base.services.identity import single_use_tokens
from fastapi_base.services.identity.single_use_tokens import Purpose
from tests.calling import calling
from tests.integration.accounts import PASSWORD, log_in, new_user
from tests.integration.authenticator import Authenticator
from tests.integration.changing import SlowHasher, account_lock, open_slow, while_locked
from tests.integration.mailing import Inbox
from tests.integration.providers import consent, real_provider
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
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


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with real_provider({"ada": {"email": ADA, "email_verified": True}}) as found:
        yield found


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], fresh_database_url: str) -> Settings:
    passkey = PasskeySettings(rp_id="example.com", origins=("https://app.example.com",))
    return make_settings(fresh_database_url).model_copy(update={"passkey": passkey})


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """An application with real commits and several connections."""
    return create_app(settings, open_slow)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
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


ACTS: dict[str, Callable[[Account, pyotp.TOTP], Awaitable[httpx2.Response]]] = {
    "password": lambda ada, _: ada.ask(
        "PUT", "/users/me/password", current_password=PASSWORD, new_password=NEW + "!"
    ),
    "deactivation": lambda ada, _: ada.ask(
        "POST", "/users/me/deactivation", current_password=PASSWORD
    ),
    "deletion": lambda ada, _: ada.ask("POST", "/users/me/deletion", current_password=PASSWORD),
    "email change": lambda ada, _: ada.ask(
        "POST", "/users/me/email-change", current_password=PASSWORD, new_email="ada@example.org"
    ),
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
        assert await ada.count(EmailChange) == 0

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
