"""The second factor: enabled and disabled by its owner, required at login."""

import asyncio
from collections.abc import Callable

import httpx2
import jwt
import pyotp
import pytest
from sqlalchemy import text

from fastapi_base.core.config import Settings
from fastapi_base.core.config.throttle import ThrottleSettings
from tests.integration.accounts import (
    PASSWORD,
    actions,
    bearer,
    log_in,
    new_user,
    register,
)
from tests.integration.api import totp
from tests.integration.api.totp import ADA, FINISH, Owner
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
owner = totp.owner


async def test_login_requires_password_and_code(
    owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await owner.enrol()
    reply = await log_in(client, ADA)
    assert reply.status_code == 401
    problem = reply.json()
    assert problem["expires_in"] == 300
    assert not {"access_token", "refresh_token"} & set(problem)
    reply = await client.post(
        FINISH, json={"challenge": problem["challenge"], "code": await owner.code()}
    )
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    first = reply.json()
    again = await client.post(
        "/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]}
    )
    for tokens in (first, again.json()):
        claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
        assert claims["amr"] == ["pwd", "otp", "mfa"]
    headers = bearer(again)
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 200
    assert (await actions(database))[-3:] == [
        "totp.enrolled",
        "second-factor.asked",
        "login.succeeded",
    ]


async def test_account_without_a_factor_logs_in_with_the_form_only(
    client: httpx2.AsyncClient,
) -> None:
    await register(client, ADA)
    reply = await log_in(client, ADA)
    assert reply.status_code == 200
    claims = jwt.decode(reply.json()["access_token"], options={"verify_signature": False})
    assert claims["amr"] == ["pwd"]


async def test_factor_is_inactive_until_the_first_code(owner: Owner) -> None:
    owner.headers = await new_user(owner.client, ADA)
    assert (await owner.post("/confirm", code="000000")).status_code == 409
    assert (await owner.post("", password="wrong")).status_code == 403
    first = await owner.post("", password=PASSWORD)
    assert first.headers["cache-control"] == "no-store"
    owner.secret = (await owner.post("", password=PASSWORD)).json()["secret"]
    assert owner.secret != first.json()["secret"]
    assert (await owner.state())["pending"]
    assert (await log_in(owner.client, ADA)).status_code == 200
    stale = pyotp.TOTP(first.json()["secret"]).now()
    assert (await owner.post("/confirm", code=stale)).status_code == 403
    reply = await owner.post("/confirm", code=pyotp.TOTP(owner.secret).now())
    assert reply.status_code == 200
    assert len(set(reply.json()["recovery_codes"])) == 10
    assert (await owner.state())["enabled"]
    # A session holder cannot replace the authenticator app.
    assert (await owner.post("", password=PASSWORD)).status_code == 409
    assert (await owner.post("/confirm", code=await owner.code())).status_code == 409


async def test_code_is_single_use_and_earlier_codes_are_void(
    owner: Owner, client: httpx2.AsyncClient
) -> None:
    await owner.enrol()
    code = await owner.code()
    for expected in [200, 403]:
        body = {"challenge": await owner.challenge(), "code": code}
        assert (await client.post(FINISH, json=body)).status_code == expected


async def test_confirmation_consumes_the_code(owner: Owner, client: httpx2.AsyncClient) -> None:
    owner.headers = await new_user(client, ADA)
    owner.secret = (await owner.post("", password=PASSWORD)).json()["secret"]
    code = pyotp.TOTP(owner.secret).now()
    assert (await owner.post("/confirm", code=code)).status_code == 200
    body = {"challenge": await owner.challenge(), "code": code}
    assert (await client.post(FINISH, json=body)).status_code == 403


async def test_concurrent_logins_with_one_code_succeed_once(
    owner: Owner, client: httpx2.AsyncClient
) -> None:
    await owner.enrol()
    challenges = [await owner.challenge() for _ in range(4)]
    code = await owner.code()
    replies = await asyncio.gather(
        *(client.post(FINISH, json={"challenge": one, "code": code}) for one in challenges)
    )
    assert sorted(reply.status_code for reply in replies) == [200, 403, 403, 403]


async def test_disabling_requires_password_and_code(
    owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await owner.enrol()
    for proof in [
        {"password": "wrong", "code": await owner.code()},
        {"password": PASSWORD, "code": "000000"},
    ]:
        assert (await owner.post("/disable", **proof)).status_code == 403
    assert (await owner.post("/disable", password=PASSWORD)).status_code == 422
    proof = {"password": PASSWORD, "code": await owner.code()}
    both = proof | {"recovery_code": owner.recovery_codes[0]}
    assert (await owner.post("/disable", **both)).status_code == 422
    assert (await owner.post("/disable", **proof)).status_code == 204
    assert (await log_in(client, ADA)).status_code == 200
    assert await owner.state() == {
        "enabled": False,
        "pending": False,
        "confirmed_at": None,
        "recovery_codes_left": 0,
    }
    assert (await actions(database)).count("totp.disabled") == 1


async def test_no_plaintext_secret_is_stored(owner: Owner, database: RolledBackDatabase) -> None:
    await owner.enrol()
    async with database.read() as connection:
        rows = [
            bytes(value)
            for value in await connection.scalars(text("SELECT digest FROM recovery_codes"))
        ]
        encrypted = bytes(await connection.scalar(text("SELECT secret FROM totp_factors")))
    assert len(rows) == 10
    assert owner.secret.encode() not in encrypted
    for code in owner.recovery_codes:
        assert code.replace("-", "").encode() not in b"".join(rows)


class TestGuessing:
    """With few free attempts."""

    @pytest.fixture
    def settings(self, make_settings: Callable[[str], Settings], database_url: str) -> Settings:
        throttle = ThrottleSettings(pair_attempts=3, address_attempts=1000, account_attempts=1000)
        return make_settings(database_url).model_copy(update={"throttle": throttle})

    async def test_codes_cannot_be_guessed(
        self, owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase
    ) -> None:
        await owner.enrol()
        statuses = []
        for _ in range(4):
            # A correct password in between, or a new challenge, does not reset the count.
            body = {"challenge": await owner.challenge(), "code": "000000"}
            reply = await client.post(FINISH, json=body)
            statuses.append(reply.status_code)
        assert statuses == [403, 403, 403, 429]
        assert int(reply.headers["retry-after"]) >= 1
        # The correct code has to wait too, and so does a recovery code.
        body = {"challenge": await owner.challenge(), "recovery_code": owner.recovery_codes[0]}
        assert (await client.post(FINISH, json=body)).status_code == 429
        assert (await actions(database)).count("second-factor.failed") == 3
