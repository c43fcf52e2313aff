"""An address changes when both the old and the new one are confirmed."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from sqlalchemy import update

from fastapi_base.core.config import Settings
from fastapi_base.models import EmailChange
from tests.integration.accounts import PASSWORD, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox

pytestmark = pytest.mark.anyio

OLD, NEW = "ada@example.com", "ada@example.org"
TO_OLD, TO_NEW = "Confirm that your address shall change", "Confirm your new address"
CHANGED = "The address of your account was changed"
PATH = "/api/v1/users/me/email-change"
INVALID = "urn:fastapi-base:invalid-link"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with a mail server."""
    return settings.model_copy(update={"mail": inbox.settings})


async def begin(
    client: httpx2.AsyncClient, headers: dict[str, str], new: str = NEW, password: str = PASSWORD
) -> httpx2.Response:
    body = {"new_email": new, "current_password": password}
    return await client.post(PATH, json=body, headers=headers)


async def confirm(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post("/api/v1/auth/email-change/confirm", json={"token": token})


@pytest.mark.parametrize("old_first", [True, False])
async def test_both_addresses_have_to_confirm(
    client: httpx2.AsyncClient, inbox: Inbox, old_first: bool
) -> None:
    headers = await new_user(client, OLD)
    assert (await begin(client, headers)).status_code == 202
    tokens = [await inbox.token(OLD, TO_OLD), await inbox.token(NEW, TO_NEW)]
    first, second = tokens if old_first else reversed(tokens)
    assert (await confirm(client, first)).json() == {"status": "waiting"}
    waiting = (await client.get(PATH, headers=headers)).json()
    assert waiting["new_email"] == NEW
    assert (waiting["old_confirmed"], waiting["new_confirmed"]) == (old_first, not old_first)
    # The same side twice is not both sides.
    assert (await confirm(client, first)).json()["type"] == INVALID
    assert (await log_in(client, NEW)).status_code == 401
    assert (await confirm(client, second)).json() == {"status": "changed"}
    me = (await client.get("/api/v1/users/me", headers=headers)).json()
    assert (me["email"], me["is_verified"]) == (NEW, True)
    assert (await log_in(client, NEW)).status_code == 200
    assert (await log_in(client, OLD)).status_code == 401
    for address in [OLD, NEW]:
        await inbox.next(address, CHANGED)
    assert (await client.get(PATH, headers=headers)).status_code == 404


async def test_both_at_once_change_it_once(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    headers = await new_user(client, OLD)
    await begin(client, headers)
    tokens = [await inbox.token(OLD, TO_OLD), await inbox.token(NEW, TO_NEW)]
    replies = await asyncio.gather(*(confirm(client, token) for token in tokens))
    assert sorted(reply.json()["status"] for reply in replies) == ["changed", "waiting"]
    assert inbox.subjects(NEW) == [CHANGED]


async def test_begin_needs_the_password(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    headers = await new_user(client, OLD)
    wrong = await begin(client, headers, password="wrong")
    assert (wrong.status_code, wrong.json()["type"]) == (403, "urn:fastapi-base:wrong-password")
    assert (await begin(client, {})).status_code == 401
    assert (await begin(client, headers, new="ADA@example.com")).status_code == 409
    assert (await begin(client, headers, new="\u0430da@example.org")).status_code == 422
    assert inbox.subjects(NEW) == []


async def test_address_of_another_account_is_not_told(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    await register(client, "grace@example.com")
    headers = await new_user(client, OLD)
    free = await begin(client, headers)
    taken = await begin(client, headers, new="grace@example.com")
    assert (free.status_code, free.json()) == (taken.status_code, taken.json())
    # Its owner is told, and gets no link.
    message = await inbox.next("grace@example.com", "has an account already")
    assert "#token=" not in str(message)


async def test_address_that_was_taken_meanwhile(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    headers = await new_user(client, OLD)
    await begin(client, headers)
    await register(client, NEW)
    assert (await confirm(client, await inbox.token(OLD, TO_OLD))).status_code == 200
    reply = await confirm(client, await inbox.token(NEW, TO_NEW))
    assert (reply.status_code, reply.json()["type"]) == (409, "urn:fastapi-base:email-taken")
    assert (await client.get("/api/v1/users/me", headers=headers)).json()["email"] == OLD


@pytest.mark.parametrize("how", ["cancelled", "begun anew", "password changed", "late"])
async def test_links_end(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase, how: str
) -> None:
    headers = await new_user(client, OLD)
    await begin(client, headers)
    tokens = [await inbox.token(OLD, TO_OLD), await inbox.token(NEW, TO_NEW)]
    if how == "cancelled":
        assert (await client.delete(PATH, headers=headers)).status_code == 204
        assert (await client.delete(PATH, headers=headers)).status_code == 404
    elif how == "begun anew":
        await begin(client, headers, new="other@example.org")
    elif how == "password changed":
        body = {"current_password": PASSWORD, "new_password": "an entirely different one"}
        await client.put("/api/v1/users/me/password", json=body, headers=headers)
    else:
        async with database.transaction() as session:
            late = datetime.now(UTC) - timedelta(seconds=1)
            await session.exec(update(EmailChange).values(expires_at=late))
    for token in tokens:
        assert (await confirm(client, token)).json()["type"] == INVALID


async def test_links_are_for_nothing_else(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    headers = await new_user(client, OLD)
    verification = await inbox.token(OLD, "Confirm your address")
    await begin(client, headers)
    token = await inbox.token(NEW, TO_NEW)
    assert (await confirm(client, verification)).status_code == 400
    verify = await client.post("/api/v1/auth/verify-email/confirm", json={"token": token})
    assert verify.status_code == 400
