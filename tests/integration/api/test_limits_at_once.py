"""Limits of an account, and single-use objects, under concurrent requests.

Each test commits for real, since only then do transactions wait for one another.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pyotp
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import NullPool, func, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel, col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.passkeys import PasskeySettings  # slice: passkeys
from fastapi_base.db.session import Database
from fastapi_base.main import create_app
from fastapi_base.models import (
    ApiKey,
    LoginSession,
    OneTimeToken,
    Passkey,  # slice: passkeys
    User,
)
from fastapi_base.models.identity.second_factor import RecoveryCode
from fastapi_base.services.identity import (
    api_keys,
    passkeys,  # slice: passkeys
)
from fastapi_base.services.mail.request import MailKind
from fastapi_base.services.mail.send import make
from tests.calling import calling
from tests.integration.accounts import PASSWORD, authorization, new_superuser, new_user
from tests.integration.authenticator import Authenticator  # slice: passkeys
from tests.integration.changing import account_lock, while_locked

pytestmark = pytest.mark.anyio
ADA = "ada@example.com"
KEYS = "/api/v1/api-keys"
KEY = {"name": "x", "scopes": ["profile:read"]}


@pytest.fixture
def app(make_settings: Callable[[str], Settings], fresh_database_url: str) -> FastAPI:
    settings = make_settings(fresh_database_url)
    # begin slice: passkeys
    passkey = PasskeySettings(rp_id="example.com", origins=("https://app.example.com",))
    settings = settings.model_copy(update={"passkey": passkey})
    # end slice: passkeys
    return create_app(settings)


@pytest.fixture
async def client(app: FastAPI, redis: Redis) -> AsyncIterator[httpx2.AsyncClient]:
    async with calling(app) as opened:
        yield opened


@pytest.fixture
def database(app: FastAPI, client: httpx2.AsyncClient) -> Database:
    found: Database = app.state.resources.database
    return found


async def count(database: Database, table: type[SQLModel]) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


# begin slice: passkeys
async def test_passkey_limit_holds_for_options_requested_earlier(
    client: httpx2.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passkeys, "LIMIT", 3)
    headers = await new_user(client, ADA)
    replies = [
        await client.post("/api/v1/auth/passkey-options", json={}, headers=headers)
        for _ in range(6)
    ]
    made = [Authenticator().create(reply.json()["public_key"]) for reply in replies]

    async def add(credential: dict[str, Any]) -> httpx2.Response:
        body = {"name": "x", "credential": credential}
        return await client.post("/api/v1/auth/passkeys", json=body, headers=headers)

    added = await asyncio.gather(*(add(credential) for credential in made))
    assert sorted(reply.status_code for reply in added) == [201] * 3 + [409] * 3
    refused = next(reply for reply in added if reply.status_code == 409)
    assert "remove one first" in refused.json()["detail"]
    assert await count(database, Passkey) == 3


# end slice: passkeys


async def test_api_key_limit_holds_for_concurrent_creation(
    client: httpx2.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MAX_KEYS", 2)
    headers = await new_user(client, ADA)
    replies = await asyncio.gather(
        *(client.post(KEYS, json=KEY, headers=headers) for _ in range(5))
    )
    assert sorted(reply.status_code for reply in replies) == [201] * 2 + [409] * 3
    assert await count(database, ApiKey) == 2


async def test_api_key_limit_holds_for_rotation(
    client: httpx2.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MAX_KEYS", 2)
    headers = await new_user(client, ADA)
    first = (await client.post(KEYS, json=KEY, headers=headers)).json()

    async def rotate(key_id: str, overlap: int) -> httpx2.Response:
        path, body = f"{KEYS}/{key_id}/rotate", {"overlap_seconds": overlap}
        return await client.post(path, json=body, headers=headers)

    async def works(key: str) -> bool:
        own = authorization(key)
        return (await client.get("/api/v1/users/me", headers=own)).status_code == 200

    replies = await asyncio.gather(*(rotate(first["id"], 3600) for _ in range(4)))
    assert sorted(reply.status_code for reply in replies) == [201, 409, 409, 409]
    # A key that is replaced at once leaves its place to its successor.
    second = next(reply for reply in replies if reply.status_code == 201).json()
    assert (await rotate(second["id"], 0)).status_code == 201
    assert await works(first["key"])
    assert not await works(second["key"])


async def test_recovery_codes_replaced_concurrently(
    client: httpx2.AsyncClient, database: Database
) -> None:
    headers = await new_user(client, ADA)
    totp = "/api/v1/auth/totp"
    begun = await client.post(totp, json={"password": PASSWORD}, headers=headers)
    code = {"code": pyotp.TOTP(begun.json()["secret"]).now()}
    made = await client.post(f"{totp}/confirm", json=code, headers=headers)
    old = made.json()["recovery_codes"]
    replies = await asyncio.gather(
        *(
            client.post(
                f"{totp}/recovery-codes",
                json={"password": PASSWORD, "recovery_code": code},
                headers=headers,
            )
            for code in old
        )
    )
    # Some requests may have lost their code to the first one.
    assert 200 in {reply.status_code for reply in replies} <= {200, 403}
    assert await count(database, RecoveryCode) == 10


async def test_only_one_of_two_concurrent_mail_links_is_valid(
    client: httpx2.AsyncClient, database: Database, app: FastAPI
) -> None:
    await new_user(client, ADA)
    settings = app.state.resources.settings
    asked = {"email": ADA, "address": None, "user_agent": None, "request_id": None}
    made = [make(database, settings, MailKind.RESET, dict(asked)) for _ in range(4)]
    assert None not in await asyncio.gather(*made)
    assert await count(database, OneTimeToken) == 1


@pytest.mark.parametrize("how", ["session", "account"])
async def test_api_key_is_refused_when_its_session_ends_during_the_request(
    client: httpx2.AsyncClient, database: Database, fresh_database_url: str, how: str
) -> None:
    """As when a password reset or a superuser intervenes."""
    headers = await new_user(client, ADA)
    changes = {
        "session": update(LoginSession).values(revoked_at=text("now()")),
        "account": update(User).values(is_active=False),
    }
    engine = create_async_engine(fresh_database_url, poolclass=NullPool)
    request = client.post(KEYS, json=KEY, headers=headers)
    reply = await while_locked(engine, account_lock(ADA), [changes[how]], request)
    assert reply.status_code == 401
    assert await count(database, ApiKey) == 0


async def test_concurrent_superusers_cannot_demote_each_other(
    client: httpx2.AsyncClient, database: Database
) -> None:
    """A demoted superuser demotes nobody from then on, even if a third one remains."""
    await new_superuser(client, database, "third@example.com")
    for round_ in range(3):
        emails = [f"{name}{round_}@example.com" for name in ("one", "two")]
        both = [await new_superuser(client, database, email) for email in emails]
        ids = [
            (await client.get("/api/v1/users/me", headers=headers)).json()["id"] for headers in both
        ]
        body = {"is_superuser": False}
        replies = await asyncio.gather(
            client.patch(f"/api/v1/users/{ids[1]}", json=body, headers=both[0]),
            client.patch(f"/api/v1/users/{ids[0]}", json=body, headers=both[1]),
        )
        assert sorted(reply.status_code for reply in replies) == [200, 403]
        async with database.read() as connection:
            left = select(func.count()).where(col(User.email).in_(emails), col(User.is_superuser))
            assert await connection.scalar(left) == 1
