"""Mails by a real worker, from the request to a real SMTP server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.main import create_app
from tests.calling import calling
from tests.integration.accounts import log_in, register
from tests.integration.mailing import PASSWORD as MAIL_PASSWORD
from tests.integration.mailing import Inbox
from tests.integration.processes import CELERY, RELAY, running

pytestmark = pytest.mark.anyio

ADA = "ada@example.com"
MOVED = "ada@example.org"
NEW = "an entirely different password"


@pytest.fixture
async def client(
    make_settings: Callable[[str], Settings], fresh_database_url: str, inbox: Inbox, redis: Redis
) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls an application that commits, and whose queue is the worker's."""
    settings = make_settings(fresh_database_url).model_copy(update={"mail": inbox.settings})
    app = create_app(settings)
    async with calling(app) as opened:
        yield opened


@pytest.fixture
def worker(
    tmp_path: Path, fresh_database_url: str, redis_url: str, inbox: Inbox, client: object
) -> Iterator[Path]:
    """A worker with its settings from the environment; its log."""
    log = tmp_path / "worker.log"
    mail = inbox.settings
    environment = {
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
    with (
        running(RELAY, tmp_path / "relay.log", **environment),
        running((*CELERY, "worker"), log, **environment),
    ):
        yield log


async def test_account_is_confirmed_and_recovered_by_mail(
    client: httpx2.AsyncClient, inbox: Inbox, worker: Path
) -> None:
    # The server is busy twice: the worker comes again, with a link that works.
    inbox.replies += ["451 busy", "421 closing"]
    await register(client, ADA)
    first = await inbox.token(ADA, "Confirm your address")
    assert inbox.replies == []
    reply = await client.post("/api/v1/auth/verify-email/confirm", json={"token": first})
    assert reply.status_code == 204
    # Nobody by this name, and then an address that the server refuses for good: neither holds the
    # next one up.
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

    headers = {"Authorization": f"Bearer {(await log_in(client, ADA, NEW)).json()['access_token']}"}
    change = {"new_email": MOVED, "current_password": NEW}
    await client.post("/api/v1/users/me/email-change", json=change, headers=headers)
    for address, about in [(ADA, "shall change"), (MOVED, "Confirm your new address")]:
        token = {"token": await inbox.token(address, about)}
        reply = await client.post("/api/v1/auth/email-change/confirm", json=token)
        assert reply.status_code == 200
    assert (await log_in(client, MOVED, NEW)).status_code == 200
    for address in [ADA, MOVED]:
        await inbox.next(address, "The address of your account was changed")

    written = await asyncio.to_thread(worker.read_text)
    lines = [json.loads(line) for line in written.splitlines() if line[:1] == "{"]
    events = [line["event"] for line in lines]
    assert events.count("job is tried again") == 2
    assert events.count("job given up") == 1
    assert asked.headers["x-request-id"] in {
        line.get("request_id") for line in lines if line["event"] == "mail sent"
    }
    # Neither tokens nor passwords nor addresses.
    for secret in [first, second, NEW, MAIL_PASSWORD, ADA, MOVED, "nobody@", "full@"]:
        assert secret not in written
