"""Recovery codes replace a lost authenticator."""

import httpx2
import pytest

from tests.integration.accounts import (
    PASSWORD,
    actions,
)
from tests.integration.api import totp
from tests.integration.api.totp import FINISH, Owner
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
owner = totp.owner


async def test_recovery_code_is_single_use_in_any_spelling(
    owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    await owner.enrol()
    code = owner.recovery_codes[3]
    for typed, expected in [(code.upper().replace("-", " "), 200), (code, 403)]:
        body = {"challenge": await owner.challenge(), "recovery_code": typed}
        assert (await client.post(FINISH, json=body)).status_code == expected
    assert (await owner.state())["recovery_codes_left"] == 9
    assert "recovery-code.used" in await actions(database)


async def test_recovery_codes_are_bound_to_their_owner(
    owner: Owner, client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    eve = Owner(client, database)
    await eve.enrol("eve@example.com")
    await owner.enrol()
    body = {"challenge": await owner.challenge(), "recovery_code": eve.recovery_codes[0]}
    assert (await client.post(FINISH, json=body)).status_code == 403


async def test_new_recovery_codes_void_the_old_ones(
    owner: Owner, client: httpx2.AsyncClient
) -> None:
    await owner.enrol()
    proof = {"password": PASSWORD, "code": await owner.code()}
    reply = await owner.post("/recovery-codes", **proof)
    assert reply.status_code == 200
    fresh = reply.json()["recovery_codes"]
    assert not set(fresh) & set(owner.recovery_codes)
    for code, expected in [(owner.recovery_codes[0], 403), (fresh[0], 200)]:
        body = {"challenge": await owner.challenge(), "recovery_code": code}
        assert (await client.post(FINISH, json=body)).status_code == expected
