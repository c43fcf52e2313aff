"""Passkeys: registration and login with an authenticator; every invalid response is refused."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import jwt
import pytest
from redis.asyncio import Redis
from sqlalchemy import select, text, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.login import PasskeySettings
from fastapi_base.models import AuditEvent, LoginSession, User
from tests.integration.accounts import PASSWORD, authorization, bearer, log_in, new_user
from tests.integration.authenticator import USER_PRESENT, USER_VERIFIED, Authenticator, encoded
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
ADA = "ada@example.com"
PASSKEYS = "/api/v1/auth/passkeys"
OPTIONS = "/api/v1/auth/passkey-options"
LOGIN = "/api/v1/auth/login/passkey"


@pytest.fixture
def settings(make_settings: Callable[[str], Settings], database_url: str) -> Settings:
    passkey = PasskeySettings(rp_id="example.com", origins=("https://app.example.com",))
    return make_settings(database_url).model_copy(update={"passkey": passkey})


@pytest.fixture
async def ada(client: httpx2.AsyncClient) -> dict[str, str]:
    return await new_user(client, ADA)


async def creation_options(
    client: httpx2.AsyncClient, headers: dict[str, str], **body: Any
) -> dict[str, Any]:
    reply = await client.post(OPTIONS, json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["public_key"]
    return found


async def request_options(client: httpx2.AsyncClient) -> dict[str, Any]:
    reply = await client.post(f"{LOGIN}/options")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["public_key"]
    return found


async def add(
    client: httpx2.AsyncClient, headers: dict[str, str], credential: Any, name: str = "Phone"
) -> httpx2.Response:
    body = {"name": name, "credential": credential}
    return await client.post(PASSKEYS, json=body, headers=headers)


async def answer(client: httpx2.AsyncClient, credential: Any) -> httpx2.Response:
    return await client.post(LOGIN, json={"credential": credential})


async def registered(client: httpx2.AsyncClient, headers: dict[str, str]) -> Authenticator:
    phone = Authenticator()
    reply = await add(client, headers, phone.create(await creation_options(client, headers)))
    assert reply.status_code == 201, reply.text
    return phone


async def refusals(database: RolledBackDatabase) -> list[str]:
    statement = select(col(AuditEvent.details)).where(col(AuditEvent.action) == "passkey.refused")
    async with database.read() as connection:
        return [details["reason"] for details in await connection.scalars(statement)]


async def test_options_request_a_passkey(client: httpx2.AsyncClient, ada: dict[str, str]) -> None:
    options = await creation_options(client, ada)
    assert options["rp"]["id"] == "example.com"
    assert options["attestation"] == "none"
    chosen = options["authenticatorSelection"]
    assert chosen["residentKey"] == "required"
    assert chosen["userVerification"] == "required"
    asked = await request_options(client)
    assert asked["userVerification"] == "required"
    # They list no credentials, so they disclose no account.
    assert asked["allowCredentials"] == []
    assert len(asked["challenge"]) >= 43


async def test_login_requires_only_the_passkey(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    for _ in range(2):
        reply = await answer(client, phone.get(await request_options(client)))
        assert reply.status_code == 200, reply.text
        assert reply.headers["cache-control"] == "no-store"
        token = reply.json()["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["amr"] == ["pop", "user", "mfa"]
        me = await client.get("/api/v1/users/me", headers=authorization(token))
        assert me.json()["email"] == ADA
    (listed,) = (await client.get(PASSKEYS, headers=ada)).json()
    assert listed["last_used_at"]


async def test_browser_login_sets_a_cookie(client: httpx2.AsyncClient, ada: dict[str, str]) -> None:
    phone = await registered(client, ada)
    body = {"credential": phone.get(await request_options(client))}
    ours = {"Sec-Fetch-Site": "same-origin"}
    reply = await client.post(f"{LOGIN}?mode=cookie", json=body, headers=ours)
    assert reply.status_code == 200
    assert set(reply.json()) == {"csrf_token"}
    assert reply.headers["set-cookie"].startswith("__Host-session=bs_")


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://app.example.com.evil.example"},
        {"origin": "http://app.example.com"},
        {"rp_id": "evil.example"},
        {"flags": USER_PRESENT},
        {"flags": USER_VERIFIED},
        {"client_data": {"crossOrigin": True}},
        {"client_data": {"type": "webauthn.create"}},
    ],
    ids=str,
)
async def test_invalid_assertion_is_refused(
    client: httpx2.AsyncClient, ada: dict[str, str], wrong: dict[str, Any]
) -> None:
    phone = await registered(client, ada)
    good = {name: getattr(phone, name) for name in wrong}
    for name, value in wrong.items():
        setattr(phone, name, value)
    reply = await answer(client, phone.get(await request_options(client)))
    assert reply.status_code == 401
    assert reply.json()["type"] == "urn:fastapi-base:invalid-passkey"
    for name, value in good.items():
        setattr(phone, name, value)
    assert (await answer(client, phone.get(await request_options(client)))).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"flags": USER_PRESENT},
        {"flags": USER_VERIFIED},
        {"client_data": {"crossOrigin": True}},
        {"client_data": {"type": "webauthn.get"}},
        # The text that the library quotes is truncated and valid UTF-8.
        {"client_data": {"type": "\ud800"}},
        {"origin": "https://evil.example/" + "x" * 300_000},
    ],
    ids=lambda wrong: ascii(wrong)[:60],
)
async def test_invalid_registration_is_refused_with_the_reason(
    client: httpx2.AsyncClient, ada: dict[str, str], wrong: dict[str, Any]
) -> None:
    phone = Authenticator(**wrong)
    reply = await add(client, ada, phone.create(await creation_options(client, ada)))
    assert reply.status_code == 422
    assert reply.json()["type"] == "urn:fastapi-base:passkey-refused"
    assert len(reply.content) < 2000
    assert (await client.get(PASSKEYS, headers=ada)).json() == []


@pytest.mark.parametrize("fmt", ["android-safetynet", "tpm", "fido-u2f", "unheard-of"])
async def test_attestation_is_not_accepted(
    client: httpx2.AsyncClient, ada: dict[str, str], fmt: str
) -> None:
    made = Authenticator().create(await creation_options(client, ada), fmt)
    assert (await add(client, ada, made)).status_code == 422


async def test_challenge_is_single_use_and_bound_to_its_purpose(
    client: httpx2.AsyncClient, ada: dict[str, str], redis: Redis
) -> None:
    options = await creation_options(client, ada)
    (key,) = await redis.keys("fastapi-base:challenge:pr:*")
    assert 0 < await redis.ttl(key) <= 300
    phone = Authenticator()
    made = phone.create(options)
    assert (await add(client, ada, made)).status_code == 201
    assert (await add(client, ada, made)).status_code == 401
    given = phone.get(await request_options(client))
    assert (await answer(client, given)).status_code == 200
    replayed = await answer(client, given)
    assert replayed.status_code == 401
    assert replayed.json()["type"] == "urn:fastapi-base:invalid-challenge"
    # Challenges of registrations, invented ones, and those that Redis lost.
    assert (await answer(client, phone.get(await creation_options(client, ada)))).status_code == 401
    made_up = {"challenge": encoded(b"pl_" + b"A" * 43)}
    assert (await answer(client, phone.get(made_up))).status_code == 401
    lost = phone.get(await request_options(client))
    await redis.flushdb()
    assert (await answer(client, lost)).status_code == 401


async def test_challenge_of_another_account_registers_no_passkey(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    eve = await new_user(client, "eve@example.com")
    theirs = Authenticator().create(await creation_options(client, ada))
    assert (await add(client, eve, theirs)).status_code == 401
    for headers in (ada, eve):
        assert (await client.get(PASSKEYS, headers=headers)).json() == []


async def test_decreasing_counter_is_refused_and_audited(
    client: httpx2.AsyncClient, ada: dict[str, str], database: RolledBackDatabase
) -> None:
    phone = await registered(client, ada)
    # The counter goes forward, repeats, goes back, and goes forward.
    for counter, expected in [(5, 200), (5, 401), (3, 401), (6, 200)]:
        phone.counter = counter - 1
        reply = await answer(client, phone.get(await request_options(client)))
        assert reply.status_code == expected
    assert await refusals(database) == ["counter went back"] * 2


async def test_authenticator_without_a_counter_is_accepted(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = Authenticator(counter=None)
    await add(client, ada, phone.create(await creation_options(client, ada)))
    for _ in range(2):
        assert (await answer(client, phone.get(await request_options(client)))).status_code == 200


async def test_concurrent_copies_log_in_once(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    answers = []
    for _ in range(3):
        phone.counter = 7
        answers.append(phone.get(await request_options(client)))
    replies = await asyncio.gather(*(answer(client, given) for given in answers))
    assert sorted(reply.status_code for reply in replies) == [200, 401, 401]


async def test_foreign_passkeys_are_refused(
    client: httpx2.AsyncClient, ada: dict[str, str], database: RolledBackDatabase
) -> None:
    phone = await registered(client, ada)
    eve = await new_user(client, "eve@example.com")
    hers = await registered(client, eve)
    # An unknown ID; a known ID with another key; a key under another account's ID.
    unknown = Authenticator(user_handle=phone.user_handle)
    forged = Authenticator(credential_id=phone.credential_id, user_handle=phone.user_handle)
    hers.user_handle = phone.user_handle
    nameless = Authenticator(credential_id=phone.credential_id, key=phone.key, counter=50)
    for wrong in [unknown, forged, hers, nameless]:
        reply = await answer(client, wrong.get(await request_options(client)))
        assert reply.status_code == 401
    assert await refusals(database) == ["not verified", "another account's", "another account's"]
    # Nor can anyone register the ID of another account's passkey.
    taken = Authenticator(credential_id=phone.credential_id)
    made = taken.create(await creation_options(client, eve))
    assert (await add(client, eve, made)).status_code == 409


MALFORMED = [
    {},
    {"id": 1, "rawId": None},
    {"type": "password"},
    {"response": {}},
    {"response": []},
]
CLIENT_DATA = ["", "!", "e30", encoded(b"[" * 9999), encoded(b'{"challenge": 1}'), "wyJd"]


def responses(part: str, values: list[str]) -> list[dict[str, str]]:
    return [{part: value} for value in values]


@pytest.mark.parametrize("wrong", MALFORMED)
async def test_malformed_credential_is_refused(
    client: httpx2.AsyncClient, ada: dict[str, str], wrong: dict[str, Any]
) -> None:
    phone = Authenticator()
    made = phone.create(await creation_options(client, ada)) | wrong if wrong else {}
    assert (await add(client, ada, made)).status_code == 422
    given = phone.get(await request_options(client)) | wrong if wrong else {}
    assert (await answer(client, given)).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        *responses("clientDataJSON", CLIENT_DATA),
        *responses("attestationObject", ["", "AA", "v7-_", "oA", "//8"]),
    ],
    ids=str,
)
async def test_malformed_registration_is_refused(
    client: httpx2.AsyncClient, ada: dict[str, str], wrong: dict[str, str]
) -> None:
    made = Authenticator().create(await creation_options(client, ada))
    made["response"] |= wrong
    assert (await add(client, ada, made)).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        *responses("clientDataJSON", CLIENT_DATA),
        *responses("authenticatorData", ["", "AA", "//8"]),
        *responses("signature", ["", "AA"]),
        *responses("userHandle", ["", "AA"]),
    ],
    ids=str,
)
async def test_malformed_login_is_refused(
    client: httpx2.AsyncClient, ada: dict[str, str], wrong: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    given = phone.get(await request_options(client))
    given["response"] |= wrong
    assert (await answer(client, given)).status_code == 401


async def test_registration_requires_a_recent_login_or_the_password(
    client: httpx2.AsyncClient, ada: dict[str, str], database: RolledBackDatabase
) -> None:
    phone = await registered(client, ada)
    (listed,) = (await client.get(PASSKEYS, headers=ada)).json()
    async with database.transaction() as session:
        await session.exec(
            update(LoginSession).values(created_at=text("now() - interval '11 minutes'"))
        )
    for body, expected in [({}, 403), ({"password": "wrong"}, 403), ({"password": PASSWORD}, 200)]:
        reply = await client.post(OPTIONS, json=body, headers=ada)
        assert reply.status_code == expected
    path = f"{PASSKEYS}/{listed['id']}"
    refused = await client.delete(path, headers=ada)
    assert refused.json()["type"] == "urn:fastapi-base:login-not-recent"
    fresh = await answer(client, phone.get(await request_options(client)))
    headers = bearer(fresh)
    assert (await client.delete(path, headers=headers)).status_code == 204


async def test_owner_renames_and_deletes_passkeys(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    await registered(client, ada)
    newest, oldest = (await client.get(PASSKEYS, headers=ada)).json()
    assert (newest["name"], newest["last_used_at"]) == ("Phone", None)
    path = f"{PASSKEYS}/{oldest['id']}"
    renamed = await client.patch(path, json={"name": " Key\u3000 2\n"}, headers=ada)
    assert renamed.json()["name"] == "Key 2"
    for wrong in ["", " ", "Key\n2", "Key\u202e2", "\0", "x" * 65]:
        reply = await client.patch(path, json={"name": wrong}, headers=ada)
        assert reply.status_code == 422
    eve = await new_user(client, "eve@example.com")
    assert (await client.patch(path, json={"name": "x"}, headers=eve)).status_code == 404
    assert (await client.delete(path, headers=eve)).status_code == 404
    assert (await client.delete(path, headers=ada)).status_code == 204
    assert (await client.delete(path, headers=ada)).status_code == 404
    assert (await answer(client, phone.get(await request_options(client)))).status_code == 401


async def test_known_authenticators_are_excluded(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    options = await creation_options(client, ada)
    excluded = [known["id"] for known in options["excludeCredentials"]]
    assert excluded == [encoded(phone.credential_id)]


async def test_passkey_of_an_inactive_account_is_refused(
    client: httpx2.AsyncClient, ada: dict[str, str], database: RolledBackDatabase
) -> None:
    phone = await registered(client, ada)
    async with database.transaction() as session:
        await session.exec(update(User).values(is_active=False))
    assert (await answer(client, phone.get(await request_options(client)))).status_code == 401


async def test_passkey_reactivates_an_account_deactivated_by_its_owner(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    phone = await registered(client, ada)
    url = "/api/v1/users/me/deactivation"
    ended = await client.post(url, headers=ada, json={"current_password": PASSWORD})
    assert ended.status_code == 204
    back = await answer(client, phone.get(await request_options(client)))
    assert back.status_code == 200
    headers = bearer(back)
    assert (await client.get("/api/v1/users/me", headers=headers)).json()["is_active"]


async def test_password_still_works_with_a_passkey(
    client: httpx2.AsyncClient, ada: dict[str, str]
) -> None:
    await registered(client, ada)
    assert (await log_in(client, ADA)).status_code == 200


class TestWithoutPasskeys:
    """PASSKEY_RP_ID is not set."""

    @pytest.fixture
    def settings(self, make_settings: Callable[[str], Settings], database_url: str) -> Settings:
        return make_settings(database_url)

    async def test_passkeys_are_disabled(
        self, client: httpx2.AsyncClient, ada: dict[str, str]
    ) -> None:
        reply = await client.post(f"{LOGIN}/options")
        assert reply.status_code == 404
        assert "PASSKEY_RP_ID" in reply.json()["detail"]
        reply = await client.post(OPTIONS, json={}, headers=ada)
        assert reply.status_code == 404
