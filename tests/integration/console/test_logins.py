"""Login to the console with a second factor, a recovery code and a passkey, and below a prefix."""

import json
import re
from html import unescape
from typing import Any

import httpx2
import pytest
from sqlalchemy import update
from sqlmodel import col

from fastapi_base.core.config import ApiSettings, Settings
from fastapi_base.core.config.console import ConsoleSettings
from fastapi_base.core.config.passkeys import PasskeySettings
from fastapi_base.models import User
from tests.integration.accounts import PASSWORD, new_superuser
from tests.integration.api import totp
from tests.integration.api.passkeys import registered
from tests.integration.api.totp import ADA, Owner
from tests.integration.console.visiting import ADMIN, Visitor
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
owner = totp.owner


async def test_second_factor_is_required(
    owner: Owner, visitor: Visitor, database: RolledBackDatabase
) -> None:
    await owner.enrol()
    async with database.transaction() as session:
        await session.exec(update(User).where(col(User.email) == ADA).values(is_superuser=True))
    await visitor.open("/login?next=/console/audit")
    await visitor.send("Password", username=ADA, password=PASSWORD)
    assert not visitor.cookie
    for wrong in ("000000", "", "not-a-code", "12"):
        reply = await visitor.send("Code of your", code=wrong)
        assert reply.status_code == 403, wrong
        assert "The code is incorrect" in visitor.text
    code = await owner.code()
    await visitor.send("Code of your", code=f"{code[:3]} {code[3:]}")
    assert visitor.path == "/console/audit"
    assert "second-factor.failed" in visitor.text

    other = Visitor(visitor.client)
    await other.open("/login")
    await other.send("Password", username=ADA, password=PASSWORD)
    await other.send("Code of your", code=owner.recovery_codes[0])
    assert other.path == "/console/accounts"
    # A challenge that does not exist any more leads back to the start.
    await other.open("/login")
    await other.send("Password", username=ADA, password=PASSWORD)
    reply = await other.send("Code of your", code=await owner.code(), challenge="sf_gone")
    assert reply.status_code == 401
    assert "start again" in other.text


class TestStrictness:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        console = ConsoleSettings(path="/console", second_factor=True)
        return settings.model_copy(update={"console": console})

    async def test_console_can_require_a_second_factor(
        self, owner: Owner, operator: Visitor, database: RolledBackDatabase
    ) -> None:
        assert operator.reply.status_code == 403
        assert "requires a login with a second factor" in operator.text
        assert (await operator.open("/flags")).status_code == 403
        await owner.enrol()
        async with database.transaction() as session:
            await session.exec(update(User).where(col(User.email) == ADA).values(is_superuser=True))
        ada = Visitor(operator.client)
        await ada.log_in(ADA)
        await ada.send("Code of your", code=await owner.code())
        assert (ada.path, ada.reply.status_code) == ("/console/accounts", 200)


class TestPasskeys:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        passkey = PasskeySettings(rp_id="example.com", origins=("https://app.example.com",))
        return settings.model_copy(update={"passkey": passkey})

    async def test_passkey_is_asked_for_by_the_script(
        self, client: httpx2.AsyncClient, database: RolledBackDatabase, visitor: Visitor
    ) -> None:
        headers = await new_superuser(client, database, ADMIN)
        phone = await registered(client, headers)

        async def options() -> dict[str, Any]:
            await visitor.open("/login?next=/console/system")
            await visitor.send("passkey")
            (given,) = re.findall(r'data-passkey="([^"]+)"', visitor.reply.text)
            found: dict[str, Any] = json.loads(unescape(given))
            return found

        credential = phone.get(await options())
        for wrong in ("", "[]", "{}", "[" * 50_000):
            reply = await visitor.client.post(
                "/console/login/passkey",
                data={"credential": wrong},
                headers={"Sec-Fetch-Site": "same-origin"},
            )
            assert reply.status_code == 401, wrong
        await visitor.send("Ask again", credential=json.dumps(credential))
        assert visitor.path == "/console/system"
        assert visitor.reply.status_code == 200
        assert "REDIS_URL [hidden]" in visitor.text


async def test_passkeys_that_are_off_are_not_offered(visitor: Visitor) -> None:
    await visitor.open("/login")
    assert "passkey" not in visitor.text
    headers = {"Sec-Fetch-Site": "same-origin"}
    reply = await visitor.client.post("/console/login/passkey/begin", headers=headers)
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "text/html; charset=utf-8"


class TestPrefix:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"api": ApiSettings(path_prefix="/shop")})

    async def test_links_redirects_and_the_login_keep_the_prefix(
        self, client: httpx2.AsyncClient, database: RolledBackDatabase, visitor: Visitor
    ) -> None:
        await new_superuser(client, database, ADMIN)
        await visitor.open("/console/jobs")
        assert visitor.path == "/shop/console/login?next=/console/jobs"
        await visitor.send("Password", username=ADMIN, password=PASSWORD)
        assert visitor.path == "/shop/console/jobs"
        assert not re.search(r'(?:href|src|action)="/(?!shop/console)', visitor.reply.text)
        await visitor.follow("Schedules")
        assert visitor.path == "/shop/console/schedules"
        await visitor.send("Log out")
        assert visitor.path == "/shop/console/login"
