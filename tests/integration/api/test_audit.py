"""The append-only audit log: which events are written, with which data."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import select, text, update
from sqlmodel import col

from fastapi_base.core.errors import DomainError
from fastapi_base.models import AuditEvent, RefreshToken
from tests.integration.accounts import log_in, new_user, register
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio


async def events(database: RolledBackDatabase) -> list[dict[str, Any]]:
    columns = AuditEvent.__table__.columns  # type: ignore[attr-defined]
    async with database.read() as connection:
        rows = await connection.execute(select(*columns).order_by(col(AuditEvent.id)))
        return [dict(row) for row in rows.mappings()]


async def test_actions_are_recorded_with_actor_and_origin(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    client.headers["User-Agent"] = "Phone/1.0"
    ada = await new_user(client, "ada@example.com")
    await log_in(client, "ada@example.com", "wrong")
    await log_in(client, "nobody@example.com", "wrong")
    me = (await client.get("/api/v1/users/me", headers=ada)).json()["id"]
    ended = await client.post(
        "/api/v1/auth/logout", headers={**ada, "X-Request-ID": "the-request-in-question"}
    )
    assert ended.status_code == 204
    found = await events(database)
    assert [event["action"] for event in found] == [
        "account.registered",
        "login.succeeded",
        "login.failed",
        "login.failed",
        "session.ended",
    ]
    assert {event["address"] for event in found} == {"127.0.0.1"}
    assert {event["user_agent"] for event in found} == {"Phone/1.0"}
    assert all(event["request_id"] for event in found)
    assert found[-1]["request_id"] == "the-request-in-question"
    assert [str(event["actor_id"]) for event in found] == ["None", me, "None", "None", me]
    assert [str(event["subject_id"]) for event in found] == [me, me, me, "None", me]
    # Neither typed input nor any secret.
    written = str(found)
    for word in ["wrong'", "nobody", "rt_", "Bearer", "correct horse"]:
        assert word not in written.replace("'wrong password'", "")


async def test_token_reuse_is_recorded_despite_the_error_reply(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await register(client, "ada@example.com")
    first = token = (await log_in(client, "ada@example.com")).json()["refresh_token"]
    for _ in range(2):
        reply = await client.post("/api/v1/auth/refresh", json={"refresh_token": token})
        token = reply.json()["refresh_token"]
    long_ago = update(RefreshToken).values(used_at=text("now() - interval '1 hour'"))
    async with database.transaction() as session:
        await session.exec(long_ago.where(col(RefreshToken.used_at).is_not(None)))
    reply = await client.post("/api/v1/auth/refresh", json={"refresh_token": first})
    assert reply.status_code == 401
    last = (await events(database))[-1]
    assert last["action"] == "refresh-token.reused"
    assert last["request_id"] == reply.headers["x-request-id"]


async def test_failed_actions_are_not_recorded(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, "ada@example.com")
    before = await events(database)
    nowhere = "/api/v1/sessions/0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"
    assert (await client.delete(nowhere, headers=headers)).status_code == 404
    assert await events(database) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET action = 'nothing'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
    ],
)
async def test_events_cannot_be_changed_or_deleted(
    client: httpx2.AsyncClient, database: RolledBackDatabase, statement: str
) -> None:
    await register(client, "ada@example.com")

    async def tamper() -> None:
        async with database.transaction() as session:
            await session.execute(text(statement))

    with pytest.raises(Exception, match="audit_events can only be added to") as caught:
        await tamper()
    assert not isinstance(caught.value, DomainError)
    assert [event["action"] for event in await events(database)] == ["account.registered"]
