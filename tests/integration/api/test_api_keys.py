"""API keys: shown once, bounded by scopes and by their owner, rotated with overlap, revoked."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update
from sqlmodel import col

from fastapi_base.core.api_key import new_key
from fastapi_base.core.scopes import Scope
from fastapi_base.models import ApiKey, AuditEvent, User
from fastapi_base.services import api_keys
from tests.integration.accounts import new_superuser, new_user
from tests.integration.databases import RolledBackDatabase
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio
PATH = "/api/v1/api-keys"
Headers = dict[str, str]


async def make(
    client: httpx2.AsyncClient, headers: Headers, *scopes: str, **more: Any
) -> dict[str, Any]:
    body = {"name": "export", "scopes": scopes or ("profile:read",), **more}
    reply = await client.post(PATH, json=body, headers=headers)
    assert reply.status_code == 201, reply.text
    assert reply.headers["cache-control"] == "no-store"
    found: dict[str, Any] = reply.json()
    return found


def bearer(key: str) -> Headers:
    return {"Authorization": f"Bearer {key}"}


async def status(client: httpx2.AsyncClient, key: str, path: str = "/api/v1/users/me") -> int:
    return (await client.get(path, headers=bearer(key))).status_code


async def test_key_calls_what_its_scopes_allow(client: httpx2.AsyncClient) -> None:
    ada = await new_user(client, "ada@example.com")
    made = await make(client, ada, "profile:read")
    reply = await client.get("/api/v1/users/me", headers=bearer(made["key"]))
    assert reply.json()["email"] == "ada@example.com"
    job = await client.post(
        "/api/v1/jobs/word-count", json={"text": "one"}, headers=bearer(made["key"])
    )
    assert job.status_code == 403
    assert job.headers["www-authenticate"].endswith('scope="jobs:write"')


async def test_key_is_shown_once_and_stored_as_its_digest(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, "ada@example.com")
    made = await make(client, ada)
    assert made["key"].startswith(made["start"])
    listed = await client.get(PATH, headers=ada)
    assert [key["id"] for key in listed.json()["items"]] == [made["id"]]
    secret = made["key"].removeprefix(made["start"])
    assert secret not in listed.text
    async with database.read() as connection:
        rows = str(list(await connection.execute(select(ApiKey.__table__))))  # type: ignore[attr-defined]
        events = str(list(await connection.execute(select(AuditEvent.__table__))))  # type: ignore[attr-defined]
    assert secret not in rows + events


async def test_owner_cannot_give_what_is_not_theirs(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, "ada@example.com")
    body = {"name": "x", "scopes": ["profile:read", "users:read"]}
    reply = await client.post(PATH, json=body, headers=ada)
    assert reply.status_code == 403
    assert reply.json()["type"] == "urn:fastapi-base:insufficient-scope"
    root = await new_superuser(client, database, "root@example.com")
    key = (await make(client, root, "users:read"))["key"]
    assert await status(client, key, "/api/v1/users") == 200
    # What the owner may not do any more, the key may not.
    async with database.transaction() as session:
        await session.exec(update(User).values(is_superuser=False))
    assert await status(client, key, "/api/v1/users") == 403


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", PATH, None),
        ("POST", PATH, {"name": "more", "scopes": ["profile:read"]}),
        ("POST", PATH + "/{id}/rotate", {}),
        ("DELETE", PATH + "/{id}", None),
        ("GET", "/api/v1/sessions", None),
        ("DELETE", "/api/v1/sessions", None),
        ("POST", "/api/v1/auth/logout", None),
        ("PUT", "/api/v1/users/me/password", {"current_password": "x", "new_password": "y" * 12}),
        ("PATCH", "/api/v1/users/me", {"display_name": "x"}),
        ("GET", "/api/v1/auth/totp", None),
        ("GET", "/api/v1/feature-flags", None),
    ],
)
async def test_key_is_no_session(
    client: httpx2.AsyncClient, database: RolledBackDatabase, method: str, path: str, body: Any
) -> None:
    """Not even with all scopes there are."""
    root = await new_superuser(client, database, "root@example.com")
    scopes = [str(scope) for scope in Scope]
    made = await make(client, root, *scopes)
    path = path.format(id=made["id"])
    reply = await client.request(method, path, json=body, headers=bearer(made["key"]))
    assert reply.status_code == 403
    assert reply.json()["type"] == "urn:fastapi-base:session-needed"


async def test_revoked_key_stops_with_the_next_request(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, "ada@example.com")
    made = await make(client, ada)
    assert await status(client, made["key"]) == 200
    assert (await client.delete(f"{PATH}/{made['id']}", headers=ada)).status_code == 204
    assert await status(client, made["key"]) == 401
    assert (await client.get(PATH, headers=ada)).json()["items"] == []
    assert (await client.delete(f"{PATH}/{made['id']}", headers=ada)).status_code == 404
    rotated = await client.post(f"{PATH}/{made['id']}/rotate", json={}, headers=ada)
    assert rotated.status_code == 404
    async with database.read() as connection:
        actions = set(await connection.scalars(select(col(AuditEvent.action))))
    assert {"api-key.created", "api-key.revoked"} <= actions


@pytest.mark.parametrize(
    "change",
    [
        update(ApiKey).values(expires_at=text("now() - interval '1 second'")),
        update(User).values(is_active=False),
    ],
    ids=["expired", "owner inactive"],
)
async def test_key_stops_when_its_ground_is_gone(
    client: httpx2.AsyncClient, database: RolledBackDatabase, change: Any
) -> None:
    made = await make(client, await new_user(client, "ada@example.com"))
    async with database.transaction() as session:
        await session.exec(change)
    assert await status(client, made["key"]) == 401


async def test_rotation_lets_both_work_for_a_while(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, "ada@example.com")
    old = await make(client, ada, "profile:read", "jobs:read")
    reply = await client.post(
        f"{PATH}/{old['id']}/rotate", json={"overlap_seconds": 3600}, headers=ada
    )
    new = reply.json()
    assert reply.status_code == 201
    assert (new["name"], new["scopes"]) == (old["name"], old["scopes"])
    assert await status(client, old["key"]) == 200
    assert await status(client, new["key"]) == 200
    found = (await client.get(PATH, params={"sort": "created_at"}, headers=ada)).json()["items"]
    assert found[0]["id"] == old["id"]
    assert found[0]["expires_at"] < old["expires_at"]
    at_once = await client.post(
        f"{PATH}/{new['id']}/rotate", json={"overlap_seconds": 0}, headers=ada
    )
    assert at_once.status_code == 201
    assert await status(client, new["key"]) == 401


async def test_key_of_somebody_else_does_not_exist(client: httpx2.AsyncClient) -> None:
    made = await make(client, await new_user(client, "ada@example.com"))
    eve = await new_user(client, "eve@example.com")
    assert (await client.delete(f"{PATH}/{made['id']}", headers=eve)).status_code == 404
    reply = await client.post(f"{PATH}/{made['id']}/rotate", json={}, headers=eve)
    assert reply.status_code == 404
    assert (await client.get(PATH, headers=eve)).json()["items"] == []
    assert await status(client, made["key"]) == 200


async def test_malformed_and_unknown_keys(client: httpx2.AsyncClient) -> None:
    good = (await make(client, await new_user(client, "ada@example.com")))["key"]
    for key in [new_key().value, good[:-1], good + "0", good.swapcase(), "fb_", f"{good} {good}"]:
        assert await status(client, key) == 401, key
    reply = await client.get("/api/v1/users/me", headers={"Authorization": f"Basic {good}"})
    assert reply.status_code == 401
    # Not taken from an address, which logs and histories keep.
    assert (await client.get(f"/api/v1/users/me?api_key={good}")).status_code == 401
    form = await client.post("/api/v1/auth/refresh", json={"refresh_token": good})
    assert form.status_code == 401


async def test_last_use_is_written_at_most_once_a_minute(
    client: httpx2.AsyncClient, database: RolledBackDatabase, app: FastAPI
) -> None:
    ada = await new_user(client, "ada@example.com")
    made = await make(client, ada)

    async def last_used() -> Any:
        return (await client.get(PATH, headers=ada)).json()["items"][0]["last_used_at"]

    assert await last_used() is None
    await status(client, made["key"])
    first = await until(last_used, "the use is written")
    await status(client, made["key"])
    await app.state.resources.key_uses.close()
    assert await last_used() == first
    async with database.transaction() as session:
        await session.exec(
            update(ApiKey).values(last_used_at=text("now() - interval '61 seconds'"))
        )
    earlier = await last_used()
    await status(client, made["key"])
    await app.state.resources.key_uses.close()
    assert await last_used() > earlier


async def test_account_can_have_so_many(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MAX_KEYS", 2)
    ada = await new_user(client, "ada@example.com")
    first = await make(client, ada)
    await make(client, ada)
    body = {"name": "third", "scopes": ["profile:read"]}
    assert (await client.post(PATH, json=body, headers=ada)).status_code == 409
    await client.delete(f"{PATH}/{first['id']}", headers=ada)
    assert (await client.post(PATH, json=body, headers=ada)).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "scopes": "profile:read"},
        {"name": "", "scopes": ["profile:read"]},
        {"name": "x\r\nSet-Cookie: a=1", "scopes": ["profile:read"]},
        {"name": "x", "scopes": ["profile:read"], "expires_in_days": 367},
        {"name": "x", "scopes": ["profile:read"], "expires_in_days": 0},
        {
            "name": "x",
            "scopes": ["profile:read"],
            "user_id": "0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55",
        },
    ],
)
async def test_key_that_cannot_be_made(client: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    ada = await new_user(client, "ada@example.com")
    assert (await client.post(PATH, json=body, headers=ada)).status_code == 422
