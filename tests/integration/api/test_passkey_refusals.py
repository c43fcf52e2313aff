"""Every invalid response of an authenticator is refused."""

import asyncio
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from tests.integration.accounts import new_user
from tests.integration.api import passkeys
from tests.integration.api.passkeys import (
    PASSKEYS,
    add,
    answer,
    creation_options,
    refusals,
    registered,
    request_options,
)
from tests.integration.authenticator import USER_PRESENT, USER_VERIFIED, Authenticator, encoded
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
settings = passkeys.settings
ada = passkeys.ada


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
