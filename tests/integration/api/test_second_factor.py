"""The second factor: required at login, single-use codes, throttled, with recovery codes."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import jwt
import pyotp
import pytest
from redis.asyncio import Redis
from sqlalchemy import select, text, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.login import ThrottleSettings
from fastapi_base.models import TotpFactor, User
from fastapi_base.services.identity.admission import fingerprint
from fastapi_base.services.identity.challenges import ChallengeKind
from tests.integration.accounts import (
    PASSWORD,
    actions,
    authorization,
    bearer,
    log_in,
    new_user,
    register,
)
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
ADA = "ada@example.com"
FINISH = "/api/v1/auth/login/second-factor"


class Owner:
    """A user with an authenticator app."""

    def __init__(self, client: httpx2.AsyncClient, database: RolledBackDatabase) -> None:
        self.client = client
        self.database = database
        self.headers: dict[str, str] = {}
        self.secret = ""
        self.recovery_codes: list[str] = []

    async def post(self, path: str, **body: Any) -> httpx2.Response:
        return await self.client.post(f"/api/v1/auth/totp{path}", json=body, headers=self.headers)

    async def state(self) -> dict[str, Any]:
        reply = await self.client.get("/api/v1/auth/totp", headers=self.headers)
        found: dict[str, Any] = reply.json()
        return found

    async def code(self) -> str:
        """A usable code: as if the last one had been used long ago."""
        async with self.database.transaction() as session:
            await session.exec(update(TotpFactor).values(last_step=0))
        return pyotp.TOTP(self.secret).now()

    async def enrol(self, email: str = ADA) -> None:
        self.headers = await new_user(self.client, email)
        reply = await self.post("", password=PASSWORD)
        assert reply.status_code == 201, reply.text
        self.secret = reply.json()["secret"]
        reply = await self.post("/confirm", code=await self.code())
        assert reply.status_code == 200, reply.text
        self.recovery_codes = reply.json()["recovery_codes"]

    async def challenge(self) -> str:
        reply = await log_in(self.client, ADA)
        assert reply.status_code == 401, reply.text
        assert reply.json()["type"] == "urn:fastapi-base:second-factor-required"
        found: str = reply.json()["challenge"]
        return found


@pytest.fixture
def owner(client: httpx2.AsyncClient, database: RolledBackDatabase) -> Owner:
    return Owner(client, database)


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


async def test_challenge_is_single_use(owner: Owner, client: httpx2.AsyncClient) -> None:
    await owner.enrol()
    challenge = await owner.challenge()
    wrong = {"challenge": challenge, "code": "000000"}
    assert (await client.post(FINISH, json=wrong)).status_code == 403
    for expected in [200, 401]:
        body = {"challenge": challenge, "code": await owner.code()}
        assert (await client.post(FINISH, json=body)).status_code == expected


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


async def test_challenge_and_other_tokens_are_not_interchangeable(
    owner: Owner, client: httpx2.AsyncClient
) -> None:
    await owner.enrol()
    challenge = await owner.challenge()
    headers = authorization(challenge)
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401
    refreshed = await client.post("/api/v1/auth/refresh", json={"refresh_token": challenge})
    assert refreshed.status_code == 401
    access = owner.headers["Authorization"].removeprefix("Bearer ")
    for wrong in [access[:256], "sf_" + "A" * 43]:
        body = {"challenge": wrong, "code": await owner.code()}
        assert (await client.post(FINISH, json=body)).status_code == 401


async def test_challenge_is_void_after_a_change_of_password_or_account(
    owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await owner.enrol()
    challenge = await owner.challenge()
    change = {"current_password": PASSWORD, "new_password": "another horse battery staple"}
    reply = await client.put("/api/v1/users/me/password", json=change, headers=owner.headers)
    assert reply.status_code == 204
    body = {"challenge": challenge, "code": await owner.code()}
    assert (await client.post(FINISH, json=body)).status_code == 401
    # The new password does not disable the factor.
    reply = await log_in(client, ADA, "another horse battery staple")
    assert reply.json()["type"] == "urn:fastapi-base:second-factor-required"
    async with database.transaction() as session:
        await session.exec(update(User).values(is_active=False))
    body = {"challenge": reply.json()["challenge"], "code": await owner.code()}
    assert (await client.post(FINISH, json=body)).status_code == 401


async def test_challenge_of_the_previous_release_is_accepted_until_the_password_changes(
    owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase, app: Any
) -> None:
    await owner.enrol()
    async with database.read() as connection:
        row = (await connection.execute(select(col(User.id), col(User.password_hash)))).one()
    stored = {
        "user": str(row.id),
        "password": fingerprint(row.password_hash),
        "by": "password",
        "methods": ["pwd"],
    }
    for begun, expected in [(stored, 200), (stored | {"password": fingerprint("another")}, 401)]:
        challenge = await app.state.resources.challenges.issue(ChallengeKind.SECOND_FACTOR, begun)
        body = {"challenge": challenge, "code": await owner.code()}
        assert (await client.post(FINISH, json=body)).status_code == expected


async def test_loss_of_redis_requires_a_new_challenge(
    owner: Owner, client: httpx2.AsyncClient, redis: Redis
) -> None:
    await owner.enrol()
    body = {"challenge": await owner.challenge(), "code": await owner.code()}
    await redis.flushdb()
    reply = await client.post(FINISH, json=body)
    assert reply.status_code == 401
    assert reply.json()["type"] == "urn:fastapi-base:invalid-challenge"


async def test_challenge_expires(owner: Owner, redis: Redis) -> None:
    await owner.enrol()
    await owner.challenge()
    (key,) = await redis.keys("fastapi-base:challenge:*")
    assert 0 < await redis.ttl(key) <= 300


async def test_recovery_code_is_single_use_in_any_spelling(
    owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await owner.enrol()
    code = owner.recovery_codes[3]
    for typed, expected in [(code.upper().replace("-", " "), 200), (code, 403)]:
        body = {"challenge": await owner.challenge(), "recovery_code": typed}
        assert (await client.post(FINISH, json=body)).status_code == expected
    assert (await owner.state())["recovery_codes_left"] == 9
    assert "recovery-code.used" in await actions(database)


async def test_recovery_codes_are_bound_to_their_owner(
    owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    eve = Owner(client, database)
    await eve.enrol("eve@example.com")
    await owner.enrol()
    body = {"challenge": await owner.challenge(), "recovery_code": eve.recovery_codes[0]}
    assert (await client.post(FINISH, json=body)).status_code == 403


async def test_new_recovery_codes_void_the_old_ones(
    owner: Owner, client: httpx2.AsyncClient
) -> None:
    await owner.enrol()
    proof = {"password": PASSWORD, "code": await owner.code()}
    reply = await owner.post("/recovery-codes", **proof)
    assert reply.status_code == 200
    fresh = reply.json()["recovery_codes"]
    assert not set(fresh) & set(owner.recovery_codes)
    for code, expected in [(owner.recovery_codes[0], 403), (fresh[0], 200)]:
        body = {"challenge": await owner.challenge(), "recovery_code": code}
        assert (await client.post(FINISH, json=body)).status_code == expected


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
