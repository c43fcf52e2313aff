"""Registration, login and authentication."""

import statistics
import time

import httpx2
import pytest
from sqlalchemy import delete, func, select, update
from sqlmodel import col

from fastapi_base.models import User
from tests.integration.accounts import PASSWORD, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio


async def test_register_log_in_and_read_own_profile(client: httpx2.AsyncClient) -> None:
    headers = await new_user(client, "ada@example.com")
    reply = await client.get("/api/v1/users/me", headers=headers)
    assert reply.status_code == 200
    body = reply.json()
    assert body["email"] == "ada@example.com"
    assert body["is_active"]
    assert not body["is_superuser"]
    assert set(body) == {
        "id",
        "email",
        "is_verified",
        "display_name",
        "is_active",
        "is_superuser",
        "created_at",
        "updated_at",
    }


async def test_email_address_is_normalised(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await register(client, " Ada@EXAMPLE.com ")
    await register(client, "ada@example.com")
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(User)) == 1
    for spelling in ["ada@example.com", "ADA@example.com", " ada@example.com"]:
        assert (await log_in(client, spelling)).status_code == 200


async def test_registering_a_known_address_is_indistinguishable_and_changes_nothing(
    client: httpx2.AsyncClient,
) -> None:
    first = await register(client, "ada@example.com")
    second = await register(client, "ada@example.com", "another password entirely")
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert (await log_in(client, "ada@example.com")).status_code == 200
    refused = await log_in(client, "ada@example.com", "another password entirely")
    assert refused.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ada@example.com"},
        {"email": "ada@example.com", "password": "short"},
        {"email": "ada@example.com", "password": "x" * 257},
        {"email": "not an address", "password": PASSWORD},
        {"email": "ada@example.com", "password": PASSWORD, "is_superuser": True},
    ],
    ids=["no password", "short", "long", "no address", "more than one may set"],
)
async def test_invalid_registration_is_refused(
    client: httpx2.AsyncClient, body: dict[str, object]
) -> None:
    assert (await client.post("/api/v1/auth/register", json=body)).status_code == 422


async def test_login_failures_are_indistinguishable(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await register(client, "ada@example.com")
    await register(client, "inactive@example.com")
    async with database.transaction() as session:
        await session.exec(
            update(User).where(col(User.email) == "inactive@example.com").values(is_active=False)
        )
    replies = [
        await log_in(client, "ada@example.com", "wrong"),
        await log_in(client, "nobody@example.com"),
        await log_in(client, "not an address"),
        await log_in(client, "nul\0byte@example.com"),
        await log_in(client, "inactive@example.com"),
    ]
    documents = [reply.json() | {"request_id": None} for reply in replies]
    assert [reply.status_code for reply in replies] == [401] * len(replies)
    assert all(document == documents[0] for document in documents)
    assert documents[0]["type"] == "urn:fastapi-base:invalid-credentials"
    assert replies[0].headers["www-authenticate"] == "Bearer"


async def test_login_takes_as_long_for_an_unknown_address(client: httpx2.AsyncClient) -> None:
    await register(client, "ada@example.com")
    known: list[float] = []
    unknown: list[float] = []
    for _ in range(15):
        for email, times in [("ada@example.com", known), ("nobody@example.com", unknown)]:
            start = time.perf_counter()
            await log_in(client, email, "wrong")
            times.append(time.perf_counter() - start)
    # Without the dummy hash, the difference would be the time of a hash, most of the total.
    assert statistics.median(unknown) > statistics.median(known) / 2


async def test_login_requires_form_fields(client: httpx2.AsyncClient) -> None:
    reply = await client.post("/api/v1/auth/login", json={"username": "a", "password": "b"})
    assert reply.status_code == 415
    assert "application/x-www-form-urlencoded" in reply.json()["detail"]


async def test_token_of_a_deactivated_or_deleted_account_is_refused(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, "ada@example.com")
    async with database.transaction() as session:
        await session.exec(update(User).values(is_active=False))
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401
    async with database.transaction() as session:
        await session.exec(delete(User))
    assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401


@pytest.mark.parametrize("value", ["Bearer", "Bearer x.y.z", "Basic YTpi", "x"])
async def test_malformed_authorization(client: httpx2.AsyncClient, value: str) -> None:
    reply = await client.get("/api/v1/users/me", headers={"Authorization": value})
    assert reply.status_code == 401
    assert reply.json()["type"] == "urn:fastapi-base:not-authenticated"
