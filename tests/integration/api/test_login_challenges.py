"""Challenges between password and code."""

from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis
from sqlalchemy import select, update
from sqlmodel import col

from fastapi_base.models import User
from fastapi_base.services.identity.admission import fingerprint
from fastapi_base.services.identity.challenges import ChallengeKind
from tests.integration.accounts import (
    PASSWORD,
    authorization,
    log_in,
)
from tests.integration.api import totp
from tests.integration.api.totp import ADA, FINISH, Owner
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
owner = totp.owner


async def test_challenge_is_single_use(owner: Owner, client: httpx2.AsyncClient) -> None:
    await owner.enrol()
    challenge = await owner.challenge()
    wrong = {"challenge": challenge, "code": "000000"}
    assert (await client.post(FINISH, json=wrong)).status_code == 403
    for expected in [200, 401]:
        body = {"challenge": challenge, "code": await owner.code()}
        assert (await client.post(FINISH, json=body)).status_code == expected


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
