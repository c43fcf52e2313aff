"""Account enumeration is prevented: neither replies nor their timing reveal accounts.

The queue is real and no worker runs: a worker's time is not part of the reply time.
"""

import time
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path

import httpx2
import pytest

from fastapi_base.core.config import MailSettings, Settings
from tests.integration.accounts import bearer, log_in, register

pytestmark = pytest.mark.anyio

KNOWN, UNKNOWN = "ada@example.com", "nobody@example.com"
ROUNDS = 40

Ask = Callable[[str], Awaitable[httpx2.Response]]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with mail."""
    return settings.model_copy(update={"mail": MailSettings(folder=tmp_path)})


async def judge(ask: Ask, known: Callable[[int], str], unknown: Callable[[int], str]) -> None:
    """Alternate known and unknown e-mail addresses, and compare replies and timing.

    The measure is how often a reply for a known address took longer than one for an unknown address
    (Mann-Whitney U): one half if there is no difference, on any machine. With 40 by 40 the standard
    deviation is 0.065; the bounds are four of them away.
    """
    times: dict[bool, list[float]] = {True: [], False: []}
    answers = set()
    for number in range(ROUNDS):
        # Each goes first equally often.
        for which in [True, False] if number % 2 else [False, True]:
            start = time.perf_counter()
            reply = await ask((known if which else unknown)(number))
            times[which].append(time.perf_counter() - start)
            headers = {name for name in reply.headers if name != "date"}
            body = {k: v for k, v in reply.json().items() if k != "request_id"}
            answers.add((reply.status_code, str(body), str(sorted(headers))))
    assert len(answers) == 1, answers
    pairs = list(product(times[True], times[False]))
    longer = sum(first > second for first, second in pairs) / len(pairs)
    assert 0.24 < longer < 0.76, longer


@pytest.mark.parametrize("path", ["verify-email", "password-reset"])
async def test_mail_requests_do_not_reveal_accounts(client: httpx2.AsyncClient, path: str) -> None:
    await register(client, KNOWN)

    async def ask(email: str) -> httpx2.Response:
        return await client.post(f"/api/v1/auth/{path}", json={"email": email})

    await judge(ask, lambda _: KNOWN, lambda _: UNKNOWN)


async def test_registration_does_not_reveal_accounts(client: httpx2.AsyncClient) -> None:
    await register(client, KNOWN)

    async def ask(email: str) -> httpx2.Response:
        return await register(client, email)

    await judge(ask, lambda _: KNOWN, lambda number: f"new{number}@example.com")


async def test_login_does_not_reveal_accounts(client: httpx2.AsyncClient) -> None:
    await register(client, KNOWN)

    async def ask(email: str) -> httpx2.Response:
        return await log_in(client, email, "wrong")

    await judge(ask, lambda _: KNOWN, lambda _: UNKNOWN)


@pytest.mark.parametrize(
    "email",
    [
        "\u0430da@example.com",  # a Cyrillic first letter
        "\uff41\uff44\uff41@example.com",  # fullwidth letters, which NFKC would map to ASCII
        "ada\u200b@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\nBcc:eve@example.com",
        '"ada\r\nBcc: eve"@example.com',
        "ada@example.com,eve@example.com",
        "Ada <ada@example.com>",
        "a" * 65 + "@example.com",
        "ada@" + "x" * 260 + ".com",
        "ada@example.com\0",
    ],
)
async def test_invalid_addresses_do_not_reveal_accounts(
    client: httpx2.AsyncClient, email: str
) -> None:
    for path in ["verify-email", "password-reset"]:
        reply = await client.post(f"/api/v1/auth/{path}", json={"email": email})
        assert reply.status_code == 422, reply.text
    assert (await register(client, email)).status_code == 422


class TestPrivateNetwork:
    """Special-use domains, where a setting allows them."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Settings that allow them."""
        auth = settings.auth.model_copy(update={"email_allow_special_domains": True})
        return settings.model_copy(update={"auth": auth})

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("Ada@corp.local", "ada@corp.local"),
            ("root@localhost", "root@localhost"),
            ("ada@b\u00fcro.test", "ada@xn--bro-hoa.test"),
            ("ada@example.com", "ada@example.com"),
        ],
        ids=ascii,
    )
    async def test_special_use_addresses_are_accepted(
        self, client: httpx2.AsyncClient, sent: str, kept: str
    ) -> None:
        assert (await register(client, sent)).status_code == 202
        headers = bearer(await log_in(client, sent))
        assert (await client.get("/api/v1/users/me", headers=headers)).json()["email"] == kept

    @pytest.mark.parametrize("email", ["ada@intranet", "ada@corp..local", "ada@mylocal", "ada@"])
    async def test_malformed_addresses_are_refused(
        self, client: httpx2.AsyncClient, email: str
    ) -> None:
        assert (await register(client, email)).status_code == 422


async def test_special_use_domains_are_refused(client: httpx2.AsyncClient) -> None:
    for email in ("ada@corp.local", "root@localhost", "ada@a.test", "ada@a.onion", "ada@home.arpa"):
        assert (await register(client, email)).status_code == 422
        # An address that cannot have an account is an unknown address.
        assert (await log_in(client, email)).status_code == 401


async def test_lookalike_domain_is_a_different_domain(client: httpx2.AsyncClient) -> None:
    await register(client, KNOWN)
    alike = "ada@ex\u0430mple.com"  # a Cyrillic letter
    assert (await log_in(client, alike)).status_code == 401
    await register(client, alike)
    reply = await log_in(client, alike)
    headers = bearer(reply)
    me = (await client.get("/api/v1/users/me", headers=headers)).json()
    assert me["email"] == "ada@xn--exmple-4nf.com"
    # Both spellings of a domain are the same domain.
    assert (await log_in(client, "ADA@xn--exmple-4nf.com")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("register", {"email": KNOWN, "password": "x" * 20, "is_verified": True}),
        ("verify-email", {"email": KNOWN, "user_id": "1"}),
        ("verify-email/confirm", {"token": "ot_x", "email": KNOWN}),
        ("password-reset", {"email": KNOWN, "link_base": "https://evil.example"}),
        ("password-reset/confirm", {"token": "t", "new_password": "x" * 20, "email": KNOWN}),
    ],
)
async def test_read_only_members_are_refused(
    client: httpx2.AsyncClient, path: str, body: dict[str, object]
) -> None:
    reply = await client.post(f"/api/v1/auth/{path}", json=body)
    assert reply.status_code == 422
    assert [error["type"] for error in reply.json()["errors"]] == ["extra_forbidden"]


async def test_oversized_bodies_are_refused(client: httpx2.AsyncClient, settings: Settings) -> None:
    email = "a" * (settings.api.max_body_bytes + 1)
    reply = await client.post("/api/v1/auth/password-reset", json={"email": email})
    assert reply.status_code == 413
