"""A superuser, and the events of accounts."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from sqlmodel import col

from fastapi_base.models import AuditEvent
from tests.integration.accounts import new_superuser
from tests.integration.databases import RolledBackDatabase

Headers = dict[str, str]
NOBODY = "0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"


@pytest.fixture
async def root(client: httpx2.AsyncClient, database: RolledBackDatabase) -> Headers:
    """A superuser's header."""
    return await new_superuser(client, database, "root@example.com")


async def me(client: httpx2.AsyncClient, headers: Headers) -> dict[str, Any]:
    """The caller's account."""
    found: dict[str, Any] = (await client.get("/api/v1/users/me", headers=headers)).json()
    return found


async def events(database: RolledBackDatabase) -> list[Any]:
    """All events, oldest first: action, actor, subject and details."""
    statement = select(
        col(AuditEvent.action),
        col(AuditEvent.actor_id),
        col(AuditEvent.subject_id),
        col(AuditEvent.details),
    ).order_by(col(AuditEvent.id))
    async with database.read() as connection:
        return list(await connection.execute(statement))
