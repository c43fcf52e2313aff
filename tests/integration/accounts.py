"""Account steps that many tests share."""

import httpx2
from sqlalchemy import select, update
from sqlmodel import col

from fastapi_base.db.session import Database
from fastapi_base.models import AuditEvent, User
from tests.integration.mailing import Inbox

PASSWORD = "correct horse battery staple"


async def register(
    client: httpx2.AsyncClient, email: str, password: str = PASSWORD
) -> httpx2.Response:
    """Register an account."""
    return await client.post("/api/v1/auth/register", json={"email": email, "password": password})


async def log_in(
    client: httpx2.AsyncClient, email: str, password: str = PASSWORD
) -> httpx2.Response:
    """Log in and return the reply."""
    return await client.post("/api/v1/auth/login", data={"username": email, "password": password})


def authorization(token: str) -> dict[str, str]:
    """The header of requests with this access token or API key."""
    return {"Authorization": f"Bearer {token}"}


def bearer(reply: httpx2.Response) -> dict[str, str]:
    """The header of further requests, from the reply to a login."""
    assert reply.status_code == 200, reply.text
    return authorization(reply.json()["access_token"])


async def new_user(client: httpx2.AsyncClient, email: str) -> dict[str, str]:
    """Register, log in, and return the header for further requests."""
    assert (await register(client, email)).status_code == 202
    return bearer(await log_in(client, email))


async def actions(database: Database) -> list[str]:
    """The actions in the audit log, oldest first."""
    async with database.read() as connection:
        found = select(col(AuditEvent.action)).order_by(col(AuditEvent.id))
        return list(await connection.scalars(found))


async def confirm(
    client: httpx2.AsyncClient, token: str, password: str | None = PASSWORD, **headers: str
) -> httpx2.Response:
    """Confirm an e-mail address with the token of its mail, as the holder of the account."""
    body = {"token": token} | ({} if password is None else {"password": password})
    return await client.post("/api/v1/auth/verify-email/confirm", json=body, headers=headers)


async def confirmed_user(client: httpx2.AsyncClient, inbox: Inbox, email: str) -> dict[str, str]:
    """Like `new_user`, with a confirmed e-mail address."""
    headers = await new_user(client, email)
    token = await inbox.token(email, "Confirm your address")
    reply = await confirm(client, token, None, **headers)
    assert reply.status_code == 204, reply.text
    return headers


async def new_superuser(
    client: httpx2.AsyncClient, database: Database, email: str
) -> dict[str, str]:
    """Like `new_user`, for a superuser."""
    headers = await new_user(client, email)
    async with database.transaction() as session:
        await session.exec(update(User).where(col(User.email) == email).values(is_superuser=True))
    return headers
