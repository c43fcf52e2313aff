"""Logins and their refresh tokens."""

from datetime import timedelta
from typing import Any

import httpx2
from sqlalchemy import update
from sqlmodel import col

from fastapi_base.models import RefreshToken
from tests.integration.accounts import authorization, log_in, register
from tests.integration.databases import RolledBackDatabase


async def tokens(client: httpx2.AsyncClient, email: str = "ada@example.com") -> dict[str, Any]:
    """The tokens of a new session."""
    await register(client, email)
    reply = await log_in(client, email)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def refresh(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    """Exchange the refresh token."""
    return await client.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def me(client: httpx2.AsyncClient, access_token: str) -> int:
    """The status of a request with the access token."""
    headers = authorization(access_token)
    return (await client.get("/api/v1/users/me", headers=headers)).status_code


async def age(database: RolledBackDatabase, seconds: int = 31) -> None:
    """Make all uses of refresh tokens older by this much; the leeway is 30 s."""
    earlier = col(RefreshToken.used_at) - timedelta(seconds=seconds)
    async with database.transaction() as session:
        await session.exec(
            update(RefreshToken)
            .where(col(RefreshToken.used_at).is_not(None))
            .values(used_at=earlier)
        )
