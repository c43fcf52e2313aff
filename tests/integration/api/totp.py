"""The owner of an account with a second factor."""

from typing import Any

import httpx2
import pyotp
import pytest
from sqlalchemy import update

from fastapi_base.models import TotpFactor
from tests.integration.accounts import (
    PASSWORD,
    log_in,
    new_user,
)
from tests.integration.databases import RolledBackDatabase

ADA = "ada@example.com"
FINISH = "/api/v1/auth/login/second-factor"


class Owner:
    """A user with an authenticator app."""

    def __init__(self, client: httpx2.AsyncClient, database: RolledBackDatabase) -> None:
        self.client = client
        self.database = database
        self.headers: dict[str, str] = {}
        self.secret = ""
        self.recovery_codes: list[str] = []

    async def post(self, path: str, **body: Any) -> httpx2.Response:
        return await self.client.post(f"/api/v1/auth/totp{path}", json=body, headers=self.headers)

    async def state(self) -> dict[str, Any]:
        reply = await self.client.get("/api/v1/auth/totp", headers=self.headers)
        found: dict[str, Any] = reply.json()
        return found

    async def code(self) -> str:
        """A usable code: as if the last one had been used long ago."""
        async with self.database.transaction() as session:
            await session.exec(update(TotpFactor).values(last_step=0))
        return pyotp.TOTP(self.secret).now()

    async def enrol(self, email: str = ADA) -> None:
        self.headers = await new_user(self.client, email)
        reply = await self.post("", password=PASSWORD)
        assert reply.status_code == 201, reply.text
        self.secret = reply.json()["secret"]
        reply = await self.post("/confirm", code=await self.code())
        assert reply.status_code == 200, reply.text
        self.recovery_codes = reply.json()["recovery_codes"]

    async def challenge(self) -> str:
        reply = await log_in(self.client, ADA)
        assert reply.status_code == 401, reply.text
        assert reply.json()["type"] == "urn:fastapi-base:second-factor-required"
        found: str = reply.json()["challenge"]
        return found


@pytest.fixture
def owner(client: httpx2.AsyncClient, database: RolledBackDatabase) -> Owner:
    """A user who has no second factor yet."""
    return Owner(client, database)
