"""The number of statements of an endpoint is constant, however many rows there are."""

from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, update
from sqlmodel import col

from fastapi_base.core.security.caller import Origin
from fastapi_base.models import LoginSession
from fastapi_base.services.identity import ownership
from fastapi_base.services.identity.auth import Auth
from tests.integration.accounts import PASSWORD, new_user
from tests.integration.databases import RolledBackDatabase
from tests.integration.queries import counted

pytestmark = pytest.mark.anyio

# By endpoint, including the statement that checks the session.
READS = {
    "/api/v1/users/me": 1,
    "/api/v1/sessions": 2,
    "/api/v1/items": 2,  # slice: items
    "/api/v1/items?total=true": 3,  # slice: items
    # The start time, and the only chunk.
    "/api/v1/items/export": 3,  # slice: items
}


@pytest.mark.parametrize("path", READS)
async def test_reads_send_a_constant_number_of_statements(
    client: httpx2.AsyncClient, path: str
) -> None:
    headers = await new_user(client, "ada@example.com")
    for _ in range(2):
        with counted() as statements:
            reply = await client.get(path, headers=headers)
        assert reply.status_code == 200
        assert len(statements) == READS[path], statements
        for _ in range(5):
            await new_user(client, "ada@example.com")
            await client.post("/api/v1/items", json={"title": "x"}, headers=headers)  # slice: items


async def test_confirming_a_password_reads_the_account_once(
    app: FastAPI, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    headers = await new_user(client, "ada@example.com")
    auth: Auth = app.state.resources.auth
    principal = await auth.identify(headers["Authorization"].removeprefix("Bearer "))
    long_ago = func.now() - timedelta(days=1)
    async with database.transaction() as session:
        await session.exec(update(LoginSession).values({col(LoginSession.created_at): long_ago}))
    with counted() as statements:
        await auth.confirm_recent(principal, PASSWORD, Origin())
    assert len([sent for sent in statements if "users.password_hash" in sent]) == 1
    with counted() as statements:
        await ownership.require_holder(auth, principal.user.id, PASSWORD, None, Origin())
    assert len([sent for sent in statements if "users.password_hash" in sent]) == 1
