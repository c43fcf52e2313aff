"""Superusers manage accounts, and at least one active superuser always remains."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from fastapi_base.models import User
from tests.calling import calling
from tests.integration.accounts import PASSWORD, log_in, new_superuser, new_user, register
from tests.integration.api import administering
from tests.integration.api.administering import NOBODY, Headers, events, me
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
root = administering.root
ROUTES = [
    ("GET", "/users", None),
    ("POST", "/users", {"email": "x@example.com", "password": PASSWORD}),
    ("GET", f"/users/{NOBODY}", None),
    ("PATCH", f"/users/{NOBODY}", {"is_superuser": True}),
    ("DELETE", f"/users/{NOBODY}", None),
    ("POST", f"/users/{NOBODY}/deactivate", None),
    ("POST", f"/users/{NOBODY}/activate", None),
    ("DELETE", f"/users/{NOBODY}/sessions", None),
    ("GET", "/audit-events", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_users_are_refused_with_the_missing_scope(
    client: httpx2.AsyncClient, method: str, path: str, body: Any
) -> None:
    ada = await new_user(client, "ada@example.com")
    reply = await client.request(method, f"/api/v1{path}", json=body, headers=ada)
    assert reply.status_code == 403
    assert reply.json()["type"] == "urn:fastapi-base:insufficient-scope"
    scope = reply.headers["www-authenticate"].partition('scope="')[2].rstrip('"')
    assert (
        reply.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'
    )
    assert scope in {"users:read", "users:write", "audit:read"}
    assert (await client.request(method, f"/api/v1{path}", json=body)).status_code == 401


@pytest.mark.parametrize(("method", "path", "body"), [r for r in ROUTES if NOBODY in r[1]])
async def test_unknown_account(
    client: httpx2.AsyncClient, root: Headers, method: str, path: str, body: Any
) -> None:
    reply = await client.request(method, f"/api/v1{path}", json=body, headers=root)
    assert reply.status_code == 404
    tampered = path.replace(NOBODY, "1%20OR%201=1")
    reply = await client.request(method, f"/api/v1{tampered}", json=body, headers=root)
    assert reply.status_code == 404


async def test_list_is_filtered_sorted_and_paged(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase
) -> None:
    for name in ["ann", "anna", "bob", "a%n"]:
        await register(client, f"{name}@example.com")
    async with database.transaction() as session:
        await session.exec(
            update(User).where(col(User.email) == "bob@example.com").values(is_active=False)
        )

    async def emails(**query: Any) -> list[str]:
        reply = await client.get("/api/v1/users", params=query, headers=root)
        assert reply.status_code == 200, reply.text
        return [user["email"].partition("@")[0] for user in reply.json()["items"]]

    assert await emails() == ["a%n", "bob", "anna", "ann", "root"]
    assert await emails(sort="email") == ["a%n", "ann", "anna", "bob", "root"]
    assert await emails(email_prefix="ANN", sort="email") == ["ann", "anna"]
    # Characters with a meaning in LIKE are literal here.
    assert await emails(email_prefix="a%n") == ["a%n"]
    assert await emails(email_prefix="a_n") == []
    assert await emails(is_active=False) == ["bob"]
    assert await emails(is_superuser=True) == ["root"]
    assert await emails(is_superuser=True, is_active=False) == []
    newest = (await client.get("/api/v1/users", params={"limit": 1}, headers=root)).json()
    created = newest["items"][0]["created_at"]
    assert await emails(created_before=created) == ["bob", "anna", "ann", "root"]
    assert await emails(created_from=created) == ["a%n"]
    reply = await client.get(
        "/api/v1/users", params={"limit": 2, "total": True, "is_active": True}, headers=root
    )
    assert reply.json()["total"] == 4
    following = await client.get(reply.links["next"]["url"], headers=root)
    assert [user["email"][:4] for user in following.json()["items"]] == ["ann@", "root"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("email_prefix", "\0"),
        ("email_prefix", "é"),
        ("email_prefix", "x" * 255),
        ("created_from", "2026-01-01T00:00:00"),
        ("created_before", "yesterday"),
        ("created_before", "0001-01-01T00:00:00+23:00"),
        ("created_from", "1.5"),
        ("is_active", "maybe"),
        ("sort", "password_hash"),
    ],
)
async def test_invalid_filter_is_named(
    client: httpx2.AsyncClient, root: Headers, name: str, value: str
) -> None:
    reply = await client.get("/api/v1/users", params={name: value}, headers=root)
    assert reply.status_code == 422
    assert name in reply.json()["errors"][0]["location"]


async def test_superuser_creates_an_account(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase
) -> None:
    body = {"email": "Ada@example.com", "password": PASSWORD, "display_name": " Ada "}
    reply = await client.post("/api/v1/users", json=body, headers=root)
    assert reply.status_code == 201
    added = reply.json()
    assert (added["email"], added["display_name"]) == ("ada@example.com", "Ada")
    assert "password" not in reply.text
    assert (await client.get(reply.headers["location"], headers=root)).json() == added
    assert (await log_in(client, "ada@example.com")).status_code == 200
    again = await client.post("/api/v1/users", json=body, headers=root)
    assert again.status_code == 409
    assert again.json()["type"] == "urn:fastapi-base:email-taken"
    weak = {"email": "eve@example.com", "password": "passwordpassword"}
    assert (await client.post("/api/v1/users", json=weak, headers=root)).status_code == 422
    created = next(e for e in await events(database) if e.action == "account.created")
    assert str(created.subject_id) == added["id"]
    assert created.actor_id != created.subject_id
    assert PASSWORD not in str(created)


async def test_patch_sets_given_members_and_audits_before_and_after(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, "ada@example.com")
    path = f"/api/v1/users/{(await me(client, ada))['id']}"

    async def patch(**body: Any) -> dict[str, Any]:
        reply = await client.patch(path, json=body, headers=root)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    assert (await patch(display_name="Ada"))["display_name"] == "Ada"
    promoted = await patch(is_superuser=True)
    assert (promoted["display_name"], promoted["is_superuser"]) == ("Ada", True)
    assert (await client.get("/api/v1/users", headers=ada)).status_code == 200
    assert (await patch(display_name=None))["display_name"] is None
    before = len(await events(database))
    assert (await patch())["is_superuser"]
    assert (await patch(is_superuser=True))["is_superuser"]
    written = await events(database)
    assert len(written) == before
    assert [e.details["changes"] for e in written if e.action == "account.changed"] == [
        {"display_name": {"before": None, "after": "Ada"}},
        {"is_superuser": {"before": False, "after": True}},
        {"display_name": {"before": "Ada", "after": None}},
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"password": PASSWORD},
        {"password_hash": "x"},
        {"id": NOBODY},
        {"email": "other@example.com"},
        {"is_active": False},
        {"is_superuser": None},
        {"created_at": "2026-01-31T12:00:00Z"},
    ],
)
async def test_members_that_a_superuser_cannot_set(
    client: httpx2.AsyncClient, root: Headers, body: dict[str, Any]
) -> None:
    own = (await me(client, root))["id"]
    reply = await client.patch(f"/api/v1/users/{own}", json=body, headers=root)
    assert reply.status_code == 422


async def test_account_is_deactivated_and_reactivated(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, "ada@example.com")
    path = f"/api/v1/users/{(await me(client, ada))['id']}"
    reply = await client.post(f"{path}/deactivate", headers=root)
    assert reply.json()["is_active"] is False
    assert (await client.get("/api/v1/users/me", headers=ada)).status_code == 401
    assert (await log_in(client, "ada@example.com")).status_code == 401
    assert (await client.post(f"{path}/activate", headers=root)).json()["is_active"] is True
    # The old session stays ended; a new one can start.
    assert (await client.get("/api/v1/users/me", headers=ada)).status_code == 401
    assert (await log_in(client, "ada@example.com")).status_code == 200
    actions = [event.action for event in await events(database)]
    assert {"account.deactivated", "account.activated", "sessions.ended"} <= set(actions)


async def test_superuser_ends_sessions_of_an_account(
    client: httpx2.AsyncClient, root: Headers
) -> None:
    first, second = [await new_user(client, "ada@example.com") for _ in range(2)]
    path = f"/api/v1/users/{(await me(client, first))['id']}/sessions"
    assert (await client.delete(path, headers=root)).json() == {"count": 2}
    for headers in (first, second):
        assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401
    assert (await client.get("/api/v1/users/me", headers=root)).status_code == 200


async def test_deleted_account_is_gone_and_its_audit_events_remain(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, "ada@example.com")
    own = (await me(client, ada))["id"]
    assert (await client.delete(f"/api/v1/users/{own}", headers=root)).status_code == 204
    assert (await client.get("/api/v1/users/me", headers=ada)).status_code == 401
    assert (await client.get(f"/api/v1/users/{own}", headers=root)).status_code == 404
    assert [e.action for e in await events(database) if str(e.subject_id) == own] == [
        "account.registered",
        "login.succeeded",
        "account.removed",
    ]


async def test_last_superuser_is_protected(
    client: httpx2.AsyncClient, root: Headers, database: RolledBackDatabase
) -> None:
    path = f"/api/v1/users/{(await me(client, root))['id']}"

    async def attempts() -> list[int]:
        replies = [
            await client.post(f"{path}/deactivate", headers=root),
            await client.patch(path, json={"is_superuser": False}, headers=root),
            await client.delete(path, headers=root),
        ]
        return [reply.status_code for reply in replies]

    assert await attempts() == [409, 409, 409]
    # A deactivated superuser does not count.
    await new_superuser(client, database, "former@example.com")
    async with database.transaction() as session:
        await session.exec(
            update(User).where(col(User.email) == "former@example.com").values(is_active=False)
        )
    assert await attempts() == [409, 409, 409]
    await new_superuser(client, database, "second@example.com")
    assert (await client.delete(path, headers=root)).status_code == 204


async def test_concurrent_superusers_cannot_delete_each_other(
    make_settings: Callable[[str], Settings], fresh_database_url: str
) -> None:
    app = create_app(make_settings(fresh_database_url))
    async with calling(app) as client:
        database = app.state.resources.database
        for round_ in range(5):
            who = [f"{name}{round_}@example.com" for name in ("one", "two")]
            one, two = [await new_superuser(client, database, email) for email in who]
            ids = [(await me(client, headers))["id"] for headers in (one, two)]
            replies = await asyncio.gather(
                client.delete(f"/api/v1/users/{ids[1]}", headers=one),
                client.delete(f"/api/v1/users/{ids[0]}", headers=two),
            )
            # 401: the other one was deleted before this request was authenticated.
            assert sorted(reply.status_code for reply in replies) in ([204, 401], [204, 409])
            async with database.transaction() as session:
                assert len(list(await session.scalars(select(col(User.id))))) == 1
                await session.exec(update(User).values(is_superuser=False))
                await session.exec(User.__table__.delete())  # type: ignore[attr-defined]


async def test_audit_log_is_listed_and_filtered(client: httpx2.AsyncClient, root: Headers) -> None:
    ada = await new_user(client, "ada@example.com")
    own, admin = (await me(client, ada))["id"], (await me(client, root))["id"]
    await client.patch(f"/api/v1/users/{own}", json={"display_name": "Ada"}, headers=root)

    async def listed(**query: Any) -> list[dict[str, Any]]:
        reply = await client.get("/api/v1/audit-events", params=query, headers=root)
        assert reply.status_code == 200, reply.text
        found: list[dict[str, Any]] = reply.json()["items"]
        return found

    newest = await listed()
    assert newest[0]["action"] == "account.changed"
    assert newest[0]["details"]["changes"]["display_name"]["after"] == "Ada"
    assert [e["action"] for e in await listed(subject_id=own)] == [
        "account.changed",
        "login.succeeded",
        "account.registered",
    ]
    assert {e["actor_id"] for e in await listed(actor_id=admin)} == {admin}
    assert [e["subject_id"] for e in await listed(action="account.changed")] == [own]
    assert await listed(actor_id=str(uuid.uuid4())) == []
    at = newest[0]["occurred_at"]
    assert newest[0] not in await listed(occurred_before=at)
    assert newest[0] in await listed(occurred_from=at)
    oldest = await listed(sort="occurred_at", limit=1)
    assert oldest[0]["action"] == "account.registered"
    reply = await client.get("/api/v1/audit-events", params={"limit": 2}, headers=root)
    walked = reply.json()["items"]
    while "next" in reply.links:
        reply = await client.get(reply.links["next"]["url"], headers=root)
        walked += reply.json()["items"]
    assert walked == newest
    assert PASSWORD not in str(walked)
