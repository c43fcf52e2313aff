"""Steps that many tests begin with."""

import httpx2
from sqlalchemy import update
from sqlmodel import col

from fastapi_base.db.database import Database
from fastapi_base.models import User

PASSWORD = "correct horse battery staple"


async def register(
    client: httpx2.AsyncClient, email: str, password: str = PASSWORD
) -> httpx2.Response:
    """Ask for an account."""
    return await client.post("/api/v1/auth/register", json={"email": email, "password": password})


async def log_in(
    client: httpx2.AsyncClient, email: str, password: str = PASSWORD
) -> httpx2.Response:
    """Ask for a token."""
    return await client.post("/api/v1/auth/login", data={"username": email, "password": password})


async def new_user(client: httpx2.AsyncClient, email: str) -> dict[str, str]:
    """Register, log in, and return the header for further requests."""
    assert (await register(client, email)).status_code == 202
    reply = await log_in(client, email)
    assert reply.status_code == 200, reply.text
    return {"Authorization": f"Bearer {reply.json()['access_token']}"}


async def new_superuser(
    client: httpx2.AsyncClient, database: Database, email: str
) -> dict[str, str]:
    """As `new_user`, and a superuser."""
    headers = await new_user(client, email)
    async with database.transaction() as session:
        await session.exec(update(User).where(col(User.email) == email).values(is_superuser=True))
    return headers
