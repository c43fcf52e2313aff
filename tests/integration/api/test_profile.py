"""Owners change only the profile of their account, and real names are accepted."""

import httpx2
import pytest

from tests.integration.accounts import new_user
from tests.integration.api.administering import NOBODY, events, me
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio


async def test_owner_changes_only_the_profile(
    client: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    ada = await new_user(client, "ada@example.com")
    before = await me(client, ada)
    reply = await client.patch(
        "/api/v1/users/me", json={"display_name": "Ada Lovelace"}, headers=ada
    )
    assert reply.json()["display_name"] == "Ada Lovelace"
    for body in [
        {"is_superuser": True},
        {"display_name": "x", "is_superuser": True},
        {"is_active": False},
        {"id": NOBODY},
        {"email": "other@example.com"},
        {"display_name": "two\nlines"},
        {"display_name": "turned \u202e round"},
        {"display_name": "nul\0"},
        {"display_name": ""},
        {"display_name": "x" * 101},
        # NFC doubles their number, beyond what the column holds.
        {"display_name": "\u0958" * 100},
        {"display_name": {"$ne": 1}},
    ]:
        refused = await client.patch("/api/v1/users/me", json=body, headers=ada)
        assert refused.status_code == 422, body
    after = await me(client, ada)
    assert after | {"updated_at": ""} == before | {"display_name": "Ada Lovelace", "updated_at": ""}
    assert after["updated_at"] > before["updated_at"]
    assert (await events(database))[-1].details == {
        "changes": {"display_name": {"before": None, "after": "Ada Lovelace"}}
    }


async def test_real_names_are_accepted(client: httpx2.AsyncClient) -> None:
    ada = await new_user(client, "ada@example.com")
    for sent, kept in (
        ("\u5c71\u7530\u3000\u592a\u90ce", "\u5c71\u7530 \u592a\u90ce"),
        (
            "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
            "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
        ),
        ("Jean\u00a0Dupont", "Jean Dupont"),
        ("Ada \U0001f469\u200d\U0001f52c", "Ada \U0001f469\u200d\U0001f52c"),
    ):
        reply = await client.patch("/api/v1/users/me", json={"display_name": sent}, headers=ada)
        assert (reply.status_code, reply.json()["display_name"]) == (200, kept)
        key = {"name": sent, "scopes": ["profile:read"]}
        made = await client.post("/api/v1/api-keys", json=key, headers=ada)
        assert (made.status_code, made.json()["name"]) == (201, kept)
    body = {"display_name": "Ada \u202ecalevoL"}
    reply = await client.patch("/api/v1/users/me", json=body, headers=ada)
    (error,) = reply.json()["errors"]
    assert "U+202E (RIGHT-TO-LEFT OVERRIDE) at position 5" in error["message"]
