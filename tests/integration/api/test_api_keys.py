"""API keys: shown once, limited by scopes and by their owner, rotated with overlap, revoked."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text, update

from fastapi_base.core.security.api_key import new_key
from fastapi_base.core.security.scopes import Scope
from fastapi_base.models import ApiKey, AuditEvent, User
from fastapi_base.services.identity import api_keys
from tests.integration.accounts import actions, authorization, new_superuser, new_user
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


async def status(client: httpx2.AsyncClient, key: str, path: str = "/api/v1/users/me") -> int:
    return (await client.get(path, headers=authorization(key))).status_code


async def test_key_calls_only_what_its_scopes_allow(client: httpx2.AsyncClient) -> None:
    ada = await new_user(client, "ada@example.com")
    made = await make(client, ada, "profile:read")
    reply = await client.get("/api/v1/users/me", headers=authorization(made["key"]))
    assert reply.json()["email"] == "ada@example.com"
    job = await client.post(
        "/api/v1/jobs/word-count", json={"text": "one"}, headers=authorization(made["key"])
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


async def test_owner_cannot_grant_scopes_they_lack(
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
    # If the owner loses a right, the key loses it too.
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
async def test_key_is_not_a_session(
    client: httpx2.AsyncClient, database: RolledBackDatabase, method: str, path: str, body: Any
) -> None:
    """Not even with all scopes."""
    root = await new_superuser(client, database, "root@example.com")
    scopes = [str(scope) for scope in Scope]
    made = await make(client, root, *scopes)
    path = path.format(id=made["id"])
    reply = await client.request(method, path, json=body, headers=authorization(made["key"]))
    assert reply.status_code == 403
    assert reply.json()["type"] == "urn:fastapi-base:session-needed"


async def test_revoked_key_is_refused_from_the_next_request(
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
    logged = await actions(database)
    assert {"api-key.created", "api-key.revoked"} <= set(logged)


@pytest.mark.parametrize(
    "change",
    [
        update(ApiKey).values(expires_at=text("now() - interval '1 second'")),
        update(User).values(is_active=False),
    ],
    ids=["expired", "owner inactive"],
)
async def test_key_is_refused_when_expired_or_its_owner_is_inactive(
    client: httpx2.AsyncClient, database: RolledBackDatabase, change: Any
) -> None:
    made = await make(client, await new_user(client, "ada@example.com"))
    async with database.transaction() as session:
        await session.exec(change)
    assert await status(client, made["key"]) == 401


async def test_key_expires_by_the_database_clock(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    made = await make(client, await new_user(client, "ada@example.com"))
    await database.shift_clock("1 year")
    assert await status(client, made["key"]) == 401


@pytest.mark.parametrize("interval", ["1 year", "-1 year"])
async def test_keys_do_not_depend_on_the_clock_of_the_process(
    client: httpx2.AsyncClient, database: RolledBackDatabase, interval: str
) -> None:
    await database.shift_clock(interval)
    ada = await new_user(client, "ada@example.com")
    old = await make(client, ada, expires_in_days=1)
    assert await status(client, old["key"]) == 200
    body = {"overlap_seconds": 0, "expires_in_days": 1}
    new = (await client.post(f"{PATH}/{old['id']}/rotate", json=body, headers=ada)).json()
    assert await status(client, old["key"]) == 401
    assert await status(client, new["key"]) == 200
    listed = (await client.get(PATH, headers=ada)).json()["items"]
    assert [key["id"] for key in listed] == [new["id"]]


async def test_rotation_overlaps_old_and_new_key(
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


async def test_key_of_another_account_is_not_found(client: httpx2.AsyncClient) -> None:
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
    # Not accepted in a URL, which logs and browser histories keep.
    assert (await client.get(f"/api/v1/users/me?api_key={good}")).status_code == 401
    form = await client.post("/api/v1/auth/refresh", json={"refresh_token": good})
    assert form.status_code == 401


async def test_last_use_is_recorded_at_most_once_a_minute(
    client: httpx2.AsyncClient, database: RolledBackDatabase, app: FastAPI
) -> None:
    ada = await new_user(client, "ada@example.com")
    made = await make(client, ada)

    async def last_used() -> Any:
        return (await client.get(PATH, headers=ada)).json()["items"][0]["last_used_at"]

    assert await last_used() is None
    await status(client, made["key"])
    first = await until(last_used, "the last use is stored")
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


async def test_number_of_keys_per_account_is_limited(
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
async def test_invalid_key_is_refused(client: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    ada = await new_user(client, "ada@example.com")
    assert (await client.post(PATH, json=body, headers=ada)).status_code == 422
