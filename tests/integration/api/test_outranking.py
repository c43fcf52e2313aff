"""Keys cannot grant or touch superuser rights, and stay revoked after reactivation."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlmodel import col

from fastapi_base.models import ApiKey, AuditEvent, User
from tests.integration.accounts import (
    PASSWORD,
    authorization,
    bearer,
    log_in,
    new_superuser,
    new_user,
)
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
Headers = dict[str, str]
ADA, ROOT = "ada@example.com", "root@example.com"
USERS, ME, KEYS = "/api/v1/users", "/api/v1/users/me", "/api/v1/api-keys"
NEEDED = "urn:fastapi-base:session-needed"


@pytest.fixture
async def root(client: httpx2.AsyncClient, database: RolledBackDatabase) -> Headers:
    """A superuser's header."""
    return await new_superuser(client, database, ROOT)


async def key_of(client: httpx2.AsyncClient, headers: Headers, *scopes: str) -> Headers:
    body = {"name": "x", "scopes": list(scopes)}
    reply = await client.post(KEYS, json=body, headers=headers)
    assert reply.status_code == 201, reply.text
    return authorization(reply.json()["key"])


@pytest.fixture
async def key(client: httpx2.AsyncClient, root: Headers) -> Headers:
    """The header of a superuser's API key with all scopes that keys may have."""
    return await key_of(client, root, "users:read", "users:write", "profile:read")


async def id_of(client: httpx2.AsyncClient, headers: Headers) -> str:
    found: str = (await client.get(ME, headers=headers)).json()["id"]
    return found


async def test_refused_key_costs_no_hash(
    app: FastAPI, client: httpx2.AsyncClient, key: Headers
) -> None:
    # Hashing would fail from here on.
    app.state.resources.hasher.close()
    body = {"email": "eve@example.com", "is_superuser": True}
    for password in (PASSWORD, "passwordpassword"):
        reply = await client.post(USERS, json={**body, "password": password}, headers=key)
        assert (reply.status_code, reply.json()["type"]) == (403, NEEDED)


async def test_key_cannot_create_a_superuser(
    client: httpx2.AsyncClient, key: Headers, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, ADA)
    path = f"{USERS}/{await id_of(client, ada)}"
    body = {"email": "eve@example.com", "password": PASSWORD, "is_superuser": True}
    tries = [
        await client.post(USERS, json=body, headers=key),
        await client.patch(path, json={"is_superuser": True}, headers=key),
        await client.patch(path, json={"is_superuser": True, "display_name": "x"}, headers=key),
    ]
    for reply in tries:
        assert (reply.status_code, reply.json()["type"]) == (403, NEEDED)
    async with database.read() as connection:
        superusers = select(col(User.email)).where(col(User.is_superuser))
        assert list(await connection.scalars(superusers)) == [ROOT]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"is_superuser": False}),
        ("PATCH", "", {"display_name": "x"}),
        ("DELETE", "", None),
        ("POST", "/deactivate", None),
        ("POST", "/activate", None),
        ("DELETE", "/sessions", None),
    ],
)
@pytest.mark.parametrize("whose", ["another superuser", "its owner", "a superuser shut out"])
async def test_key_cannot_modify_a_superuser(
    client: httpx2.AsyncClient,
    root: Headers,
    key: Headers,
    database: RolledBackDatabase,
    method: str,
    path: str,
    body: Any,
    whose: str,
) -> None:
    other = await new_superuser(client, database, "other@example.com")
    target = await id_of(client, root if whose == "its owner" else other)
    if whose == "a superuser shut out":
        async with database.transaction() as session:
            of_other = col(User.email) == "other@example.com"
            await session.exec(update(User).where(of_other).values(is_active=False))
    before = (await client.get(f"{USERS}/{target}", headers=root)).json()
    reply = await client.request(method, f"{USERS}/{target}{path}", json=body, headers=key)
    assert (reply.status_code, reply.json()["type"]) == (403, NEEDED)
    assert (await client.get(f"{USERS}/{target}", headers=root)).json() == before
    assert (await client.get(ME, headers=root)).status_code == 200


async def test_key_manages_users_within_its_scope(client: httpx2.AsyncClient, key: Headers) -> None:
    body = {"email": ADA, "password": PASSWORD}
    made = await client.post(USERS, json=body, headers=key)
    assert made.status_code == 201
    # A superuser in a session may confirm the address; a key may not.
    assert made.json()["is_verified"] is False
    path = f"{USERS}/{made.json()['id']}"
    ada = bearer(await log_in(client, ADA))
    # Only sessions may end sessions.
    assert (await client.delete(f"{path}/sessions", headers=key)).json()["type"] == NEEDED
    assert (await client.get(ME, headers=ada)).status_code == 200
    named = await client.patch(path, json={"display_name": "Ada"}, headers=key)
    assert named.json()["display_name"] == "Ada"
    for action in ["deactivate", "activate"]:
        assert (await client.post(f"{path}/{action}", headers=key)).status_code == 200
    assert (await client.delete(path, headers=key)).status_code == 204


async def test_superuser_in_a_session_confirms_an_address(
    client: httpx2.AsyncClient, root: Headers
) -> None:
    made = await client.post(USERS, json={"email": ADA, "password": PASSWORD}, headers=root)
    assert made.json()["is_verified"] is True


async def test_key_stays_revoked_after_reactivation_by_a_superuser(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, ADA)
    path = f"{USERS}/{await id_of(client, ada)}"
    key = await key_of(client, ada, "profile:read")
    for action in ["deactivate", "activate"]:
        assert (await client.post(f"{path}/{action}", headers=root)).status_code == 200
        assert (await client.get(ME, headers=key)).status_code == 401
    again = bearer(await log_in(client, ADA))
    assert (await client.get(KEYS, headers=again)).json()["items"] == []
    async with database.read() as connection:
        ended = select(col(AuditEvent.details)).where(col(AuditEvent.action) == "api-key.revoked")
        (details,) = await connection.scalars(ended)
    assert details["reason"] == "deactivated"


@pytest.mark.parametrize("how", ["deactivation", "deletion"])
async def test_key_stays_revoked_after_reactivation_by_the_owner(
    client: httpx2.AsyncClient, how: str
) -> None:
    ada = await new_user(client, ADA)
    key = await key_of(client, ada, "profile:read")
    body = {"current_password": PASSWORD}
    assert (await client.post(f"{ME}/{how}", json=body, headers=ada)).is_success
    assert (await client.get(ME, headers=key)).status_code == 401
    assert (await log_in(client, ADA)).status_code == 200
    assert (await client.get(ME, headers=key)).status_code == 401


@pytest.mark.parametrize("back", ["by a superuser", "by its owner"])
async def test_valid_key_is_revoked_at_reactivation(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase, back: str
) -> None:
    """As a process of the previous release leaves it."""
    ada = await new_user(client, ADA)
    me = await id_of(client, ada)
    key = await key_of(client, ada, "profile:read")
    body = {"current_password": PASSWORD}
    if back == "by its owner":
        await client.post(f"{ME}/deactivation", json=body, headers=ada)
    async with database.transaction() as session:
        await session.exec(update(ApiKey).values(revoked_at=None))
        await session.exec(update(User).where(col(User.id) == me).values(is_active=False))
    if back == "by its owner":
        assert (await log_in(client, ADA)).status_code == 200
    else:
        assert (await client.post(f"{USERS}/{me}/activate", headers=root)).status_code == 200
    assert (await client.get(ME, headers=key)).status_code == 401


async def test_key_regains_no_rights_when_its_owner_is_promoted_again(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase
) -> None:
    other = await new_superuser(client, database, "other@example.com")
    path = f"{USERS}/{await id_of(client, other)}"
    key = await key_of(client, other, "users:read", "profile:read")
    for is_superuser in [False, True]:
        body = {"is_superuser": is_superuser}
        assert (await client.patch(path, json=body, headers=root)).status_code == 200
        assert (await client.get(USERS, headers=key)).status_code == 403
        assert (await client.get(ME, headers=key)).status_code == 200
