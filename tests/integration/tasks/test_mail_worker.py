"""Mails sent by a real worker, from the request to a real SMTP server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from tests.calling import calling
from tests.integration import logs
from tests.integration.accounts import bearer, confirm, log_in, register
from tests.integration.mailing import PASSWORD as MAIL_PASSWORD
from tests.integration.mailing import Inbox
from tests.integration.processes import CELERY, RELAY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
MOVED = "ada@example.org"
NEW = "an entirely different password"
# Those that the mail server accepts in the end.
MAILS = 7


@pytest.fixture
async def client(
    make_settings: Callable[[str], Settings], fresh_database_url: str, inbox: Inbox, redis: Redis
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that commits and shares the worker's queue."""
    settings = make_settings(fresh_database_url).model_copy(update={"mail": inbox.settings})
    app = create_app(settings)
    async with calling(app) as opened:
        yield opened


@pytest.fixture
def environment(fresh_database_url: str, redis_url: str, inbox: Inbox) -> dict[str, str]:
    """The settings of relay and worker."""
    mail = inbox.settings
    return {
        "DATABASE_URL": fresh_database_url,
        "REDIS_URL": redis_url,
        "CELERY_CONCURRENCY": "1",
        "LOG_FORMAT": "json",
        "MAIL_HOST": str(mail.host),
        "MAIL_PORT": str(mail.port),
        "MAIL_TLS": mail.tls,
        "MAIL_CA_FILE": str(mail.ca_file),
        "MAIL_USERNAME": str(mail.username),
        "MAIL_PASSWORD": MAIL_PASSWORD,
        "MAIL_LINK_BASE": mail.link_base,
    }


async def test_account_is_confirmed_and_recovered_by_mail(
    client: httpx2.AsyncClient, inbox: Inbox, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with (
        running(RELAY, tmp_path / "relay.log", **environment),
        running((*CELERY, "worker"), log, **environment),
    ):
        first, second, request_id = await steps(client, inbox)

        async def all_sent() -> list[dict[str, Any]] | None:
            events = await asyncio.to_thread(logs.events, log)
            sent = [event for event in events if event["event"] == "mail sent"]
            return sent if len(sent) == MAILS else None

        # The worker still speaks to the mail server after the last mail has arrived.
        sent = await until(all_sent, "the worker has sent all mails")
    assert request_id in {event.get("request_id") for event in sent}
    # The worker has ended, so its log is complete.
    names = [event["event"] for event in await asyncio.to_thread(logs.events, log)]
    assert names.count("mail sent") == MAILS
    assert names.count("job is tried again") == 2
    assert names.count("job given up") == 1
    # Neither tokens nor passwords nor addresses.
    written = await asyncio.to_thread(log.read_text)
    for secret in [first, second, NEW, MAIL_PASSWORD, ADA, MOVED, "nobody@", "full@"]:
        assert secret not in written


async def steps(client: httpx2.AsyncClient, inbox: Inbox) -> tuple[str, str, str]:
    """Returns the tokens of the first two mails, and the ID of the request for the second."""
    # The server is busy twice: the worker retries, with a link that works.
    inbox.replies += ["451 busy", "421 closing"]
    await register(client, ADA)
    first = await inbox.token(ADA, "Confirm your address")
    assert inbox.replies == []
    reply = await confirm(client, first)
    assert reply.status_code == 204
    # First no such account, then an address that the server rejects for good: neither blocks the
    # next mail.
    await client.post("/api/v1/auth/password-reset", json={"email": "nobody@example.com"})
    inbox.replies.append("550 no such mailbox")
    await register(client, "full@example.com")
    asked = await client.post("/api/v1/auth/password-reset", json={"email": ADA})
    second = await inbox.token(ADA, "Set a new password")
    reset = {"token": second, "new_password": NEW}
    reply = await client.post("/api/v1/auth/password-reset/confirm", json=reset)
    assert reply.status_code == 204
    await inbox.next(ADA, "Your password was changed")
    assert (await log_in(client, ADA, NEW)).status_code == 200
    assert inbox.messages == []

    # begin slice: email-change
    headers = bearer(await log_in(client, ADA, NEW))
    change = {"new_email": MOVED, "current_password": NEW}
    await client.post("/api/v1/users/me/email-change", json=change, headers=headers)
    for address, about in [(ADA, "Confirm the change"), (MOVED, "Confirm your new address")]:
        body = {"token": await inbox.token(address, about), "password": NEW}
        reply = await client.post("/api/v1/auth/email-change/confirm", json=body)
        assert reply.status_code == 200
    assert (await log_in(client, MOVED, NEW)).status_code == 200
    for address in [ADA, MOVED]:
        await inbox.next(address, "The address of your account was changed")
    # end slice: email-change

    return first, second, asked.headers["x-request-id"]
