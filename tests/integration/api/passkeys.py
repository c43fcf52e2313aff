"""Registration and login with a passkey, step by step."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.passkeys import PasskeySettings
from fastapi_base.models import AuditEvent
from tests.integration.accounts import new_user
from tests.integration.authenticator import Authenticator
from tests.integration.databases import RolledBackDatabase

ADA = "ada@example.com"
PASSKEYS = "/api/v1/auth/passkeys"
OPTIONS = "/api/v1/auth/passkey-options"
LOGIN = "/api/v1/auth/login/passkey"


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], database_url: str) -> Settings:
    """Settings with passkeys."""
    passkey = PasskeySettings(rp_id="example.com", origins=("https://app.example.com",))
    return make_settings(database_url).model_copy(update={"passkey": passkey})


@pytest.fixture
async def ada(client: httpx2.AsyncClient) -> dict[str, str]:
    """The header of Ada's session."""
    return await new_user(client, ADA)


async def creation_options(
    client: httpx2.AsyncClient, headers: dict[str, str], **body: Any
) -> dict[str, Any]:
    """Options for the registration of a passkey."""
    reply = await client.post(OPTIONS, json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["public_key"]
    return found


async def request_options(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Options for a login with a passkey."""
    reply = await client.post(f"{LOGIN}/options")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["public_key"]
    return found


async def add(
    client: httpx2.AsyncClient, headers: dict[str, str], credential: Any, name: str = "Phone"
) -> httpx2.Response:
    """Register the passkey."""
    body = {"name": name, "credential": credential}
    return await client.post(PASSKEYS, json=body, headers=headers)


async def answer(client: httpx2.AsyncClient, credential: Any) -> httpx2.Response:
    """Log in with the assertion."""
    return await client.post(LOGIN, json={"credential": credential})


async def registered(client: httpx2.AsyncClient, headers: dict[str, str]) -> Authenticator:
    """A new authenticator that is registered."""
    phone = Authenticator()
    reply = await add(client, headers, phone.create(await creation_options(client, headers)))
    assert reply.status_code == 201, reply.text
    return phone


async def refusals(database: RolledBackDatabase) -> list[str]:
    """The reasons for refused passkeys in the audit log."""
    statement = select(col(AuditEvent.details)).where(col(AuditEvent.action) == "passkey.refused")
    async with database.read() as connection:
        return [details["reason"] for details in await connection.scalars(statement)]
