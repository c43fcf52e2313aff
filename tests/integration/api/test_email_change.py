"""An e-mail address changes once both the old and the new address are confirmed."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from sqlalchemy import update

from fastapi_base.core.config import Settings
from fastapi_base.models import EmailChange, LoginSession, OneTimeToken
from tests.integration.accounts import PASSWORD, confirmed_user, log_in, new_user, register
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import Inbox

pytestmark = pytest.mark.anyio

OLD, NEW = "ada@example.com", "ada@example.org"
TO_OLD, TO_NEW = "Confirm the change of your address", "Confirm your new address"
CHANGED = "The address of your account was changed"
PATH = "/api/v1/users/me/email-change"
INVALID = "urn:fastapi-base:invalid-link"
NEEDED = "urn:fastapi-base:password-needed"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with a mail server."""
    return settings.model_copy(update={"mail": inbox.settings})


async def begin(
    client: httpx2.AsyncClient, headers: dict[str, str], new: str = NEW, password: str = PASSWORD
) -> httpx2.Response:
    body = {"new_email": new, "current_password": password}
    return await client.post(PATH, json=body, headers=headers)


async def confirm(
    client: httpx2.AsyncClient, token: str, password: str | None = PASSWORD, **headers: str
) -> httpx2.Response:
    body = {"token": token} | ({} if password is None else {"password": password})
    return await client.post("/api/v1/auth/email-change/confirm", json=body, headers=headers)


@pytest.mark.parametrize("old_first", [True, False])
async def test_both_addresses_must_be_confirmed(
    client: httpx2.AsyncClient, inbox: Inbox, old_first: bool
) -> None:
    headers = await confirmed_user(client, inbox, OLD)
    assert (await begin(client, headers)).status_code == 202
    tokens = [await inbox.token(OLD, TO_OLD), await inbox.token(NEW, TO_NEW)]
    first, second = tokens if old_first else reversed(tokens)
    assert (await confirm(client, first)).json() == {"status": "waiting"}
    waiting = (await client.get(PATH, headers=headers)).json()
    assert waiting["new_email"] == NEW
    assert (waiting["old_confirmed"], waiting["new_confirmed"]) == (old_first, not old_first)
    # Confirming one side twice does not count as both.
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


async def test_concurrent_confirmations_change_the_address_once(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    headers = await confirmed_user(client, inbox, OLD)
    await begin(client, headers)
    tokens = [await inbox.token(OLD, TO_OLD), await inbox.token(NEW, TO_NEW)]
    replies = await asyncio.gather(*(confirm(client, token) for token in tokens))
    assert sorted(reply.json()["status"] for reply in replies) == ["changed", "waiting"]
    assert inbox.subjects(NEW) == [CHANGED]


async def test_starting_a_change_requires_the_password(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    headers = await confirmed_user(client, inbox, OLD)
    wrong = await begin(client, headers, password="wrong")
    assert (wrong.status_code, wrong.json()["type"]) == (403, "urn:fastapi-base:wrong-password")
    assert (await begin(client, {})).status_code == 401
    assert (await begin(client, headers, new="ADA@example.com")).status_code == 409
    assert (await begin(client, headers, new="\u0430da@example.org")).status_code == 422
    assert inbox.subjects(NEW) == []


async def test_existence_of_another_account_is_not_disclosed(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    await register(client, "grace@example.com")
    headers = await confirmed_user(client, inbox, OLD)
    free = await begin(client, headers)
    taken = await begin(client, headers, new="grace@example.com")
    assert (free.status_code, free.json()) == (taken.status_code, taken.json())
    # Its owner is notified and gets no link.
    message = await inbox.next("grace@example.com", "already has an account")
    assert "#token=" not in str(message)


async def test_address_taken_in_the_meantime(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    headers = await confirmed_user(client, inbox, OLD)
    await begin(client, headers)
    await confirmed_user(client, inbox, NEW)
    assert (await confirm(client, await inbox.token(OLD, TO_OLD))).status_code == 200
    reply = await confirm(client, await inbox.token(NEW, TO_NEW))
    assert (reply.status_code, reply.json()["type"]) == (409, "urn:fastapi-base:email-taken")
    assert (await client.get("/api/v1/users/me", headers=headers)).json()["email"] == OLD


async def test_unconfirmed_account_of_a_stranger_is_replaced(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    headers = await confirmed_user(client, inbox, OLD)
    await begin(client, headers)
    await register(client, NEW)
    assert (await confirm(client, await inbox.token(OLD, TO_OLD))).status_code == 200
    assert (await confirm(client, await inbox.token(NEW, TO_NEW))).status_code == 200
    assert (await client.get("/api/v1/users/me", headers=headers)).json()["email"] == NEW


@pytest.mark.parametrize("how", ["cancelled", "started again", "password changed", "late"])
async def test_links_expire(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase, how: str
) -> None:
    headers = await confirmed_user(client, inbox, OLD)
    await begin(client, headers)
    tokens = [await inbox.token(OLD, TO_OLD), await inbox.token(NEW, TO_NEW)]
    if how == "cancelled":
        assert (await client.delete(PATH, headers=headers)).status_code == 204
        assert (await client.delete(PATH, headers=headers)).status_code == 404
    elif how == "started again":
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


async def test_change_expires_by_the_database_clock(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    headers = await confirmed_user(client, inbox, OLD)
    await begin(client, headers)
    tokens = [await inbox.token(OLD, TO_OLD), await inbox.token(NEW, TO_NEW)]
    # The links and sessions outlast the change.
    later = datetime.now(UTC) + timedelta(days=800)
    async with database.transaction() as session:
        for table in (OneTimeToken, LoginSession):
            await session.exec(update(table).values(expires_at=later))
    await database.shift_clock("1 year")
    assert (await client.get(PATH, headers=headers)).status_code == 404
    for token in tokens:
        assert (await confirm(client, token)).json()["type"] == INVALID


async def test_change_does_not_depend_on_the_clock_of_the_process(
    client: httpx2.AsyncClient, inbox: Inbox, database: RolledBackDatabase
) -> None:
    await database.shift_clock("1 year")
    headers = await confirmed_user(client, inbox, OLD)
    await begin(client, headers)
    for address, subject in ((OLD, TO_OLD), (NEW, TO_NEW)):
        assert (await client.get(PATH, headers=headers)).status_code == 200
        reply = await confirm(client, await inbox.token(address, subject))
        assert reply.status_code == 200
    assert reply.json() == {"status": "changed"}


async def test_links_have_a_single_purpose(client: httpx2.AsyncClient, inbox: Inbox) -> None:
    await new_user(client, "grace@example.com")
    verification = await inbox.token("grace@example.com", "Confirm your address")
    headers = await confirmed_user(client, inbox, OLD)
    await begin(client, headers)
    token = await inbox.token(NEW, TO_NEW)
    assert (await confirm(client, verification)).status_code == 400
    body = {"token": token, "password": PASSWORD}
    verify = await client.post("/api/v1/auth/verify-email/confirm", json=body)
    assert verify.status_code == 400


async def test_new_address_is_never_confirmed_for_another_account(
    client: httpx2.AsyncClient, inbox: Inbox
) -> None:
    """A stranger makes the owner of an address confirm it for the stranger's account."""
    stranger = await confirmed_user(client, inbox, OLD)
    await begin(client, stranger)
    # The old mailbox confirms only the old address.
    old = await confirm(client, await inbox.token(OLD, TO_OLD), None)
    assert old.json() == {"status": "waiting"}
    token = await inbox.token(NEW, TO_NEW)
    owner = await new_user(client, "grace@example.com")
    alone = [await confirm(client, token, None), await confirm(client, token, None, **owner)]
    for reply in alone:
        assert (reply.status_code, reply.json()["type"]) == (403, NEEDED)
    wrong = await confirm(client, token, "the owner's own password")
    assert (wrong.status_code, wrong.json()["type"]) == (403, "urn:fastapi-base:wrong-password")
    me = (await client.get("/api/v1/users/me", headers=stranger)).json()
    assert me["email"] == OLD
    # The link stays valid for the account that started the change.
    assert (await confirm(client, token, None, **stranger)).json() == {"status": "changed"}
