"""Items over HTTP: the example that readers copy, with everything a resource must satisfy."""

import csv
import io
import json
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from fastapi_base.services.items import items as service
from tests.integration.accounts import authorization, new_user
from tests.integration.databases import RolledBackDatabase
from tests.integration.queries import counted

pytestmark = pytest.mark.anyio
PATH = "/api/v1/items"


@pytest.fixture
async def ada(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client that is logged in."""
    client.headers |= await new_user(client, "ada@example.com")
    return client


async def make(client: httpx2.AsyncClient, title: str = "Teapot", **more: str) -> dict[str, Any]:
    reply = await client.post(PATH, json={"title": title, **more})
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


async def titles(client: httpx2.AsyncClient, **params: str | list[str]) -> list[str]:
    reply = await client.get(PATH, params=params)
    assert reply.status_code == 200, reply.text
    return [item["title"] for item in reply.json()["items"]]


async def test_created_item_can_be_read(ada: httpx2.AsyncClient) -> None:
    reply = await ada.post(PATH, json={"title": "  Teapot ", "description": "Short"})
    item = reply.json()
    assert (item["title"], item["description"], item["version"]) == ("Teapot", "Short", 1)
    assert reply.headers["location"] == f"{PATH}/{item['id']}"
    read = await ada.get(reply.headers["location"])
    assert read.json() == item
    assert read.headers["etag"] == reply.headers["etag"] == '"1"'


@pytest.mark.parametrize(
    "body",
    [{}, {"title": ""}, {"title": "x" * 201}, {"title": "a\0b"}, {"title": "x", "owner_id": "y"}],
)
async def test_invalid_item_is_refused(ada: httpx2.AsyncClient, body: dict[str, str]) -> None:
    assert (await ada.post(PATH, json=body)).status_code == 422
    assert await titles(ada) == []


async def test_repeated_idempotency_key_creates_one_item(ada: httpx2.AsyncClient) -> None:
    for path, body in [(PATH, {"title": "a"}), (f"{PATH}/bulk", {"items": [{"title": "b"}]})]:
        headers = {"Idempotency-Key": f"key-{path}"}
        first, second = [await ada.post(path, json=body, headers=headers) for _ in range(2)]
        assert first.json() == second.json()
    assert sorted(await titles(ada)) == ["a", "b"]


async def test_current_etag_gets_304(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await make(ada))['id']}"
    first = await ada.get(url)
    assert first.headers["cache-control"] == "private, no-cache"
    for tag in ('"1"', 'W/"1"', '"0", "1"', "*"):
        reply = await ada.get(url, headers={"If-None-Match": tag})
        assert (reply.status_code, reply.content) == (304, b""), tag
        assert reply.headers["etag"] == '"1"'
        assert reply.headers["cache-control"] == "private, no-cache"
    for tag in ('"2"', '"x"', "nonsense"):
        assert (await ada.get(url, headers={"If-None-Match": tag})).status_code == 200, tag


async def test_patch_keeps_absent_members_and_null_clears(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await make(ada, description='Short'))['id']}"
    any_version = {"If-Match": "*"}
    changed = await ada.patch(url, json={"title": "Pot"}, headers=any_version)
    assert changed.status_code == 200, changed.text
    assert (changed.json()["title"], changed.json()["description"]) == ("Pot", "Short")
    assert changed.headers["etag"] == '"2"'
    cleared = await ada.patch(url, json={"description": None}, headers=any_version)
    assert (cleared.json()["title"], cleared.json()["description"]) == ("Pot", None)
    for body in ({"title": None}, {}, {"title": ""}, {"version": 7}, {"id": "x"}):
        assert (await ada.patch(url, json=body, headers=any_version)).status_code == 422, body
    assert (await ada.get(url)).json() == cleared.json()
    assert cleared.json()["updated_at"] > cleared.json()["created_at"]


async def test_second_change_of_the_same_version_is_refused(
    ada: httpx2.AsyncClient,
) -> None:
    url = f"{PATH}/{(await make(ada))['id']}"
    based = {"If-Match": '"1"'}
    assert (await ada.patch(url, json={"title": "first"}, headers=based)).status_code == 200
    for refused in (
        await ada.patch(url, json={"title": "second"}, headers=based),
        await ada.delete(url, headers=based),
        await ada.delete(url, headers={"If-Match": 'W/"2"'}),
        await ada.delete(url, headers={"If-Match": "nonsense"}),
        await ada.delete(url, headers={"If-Match": '"99999999999999999999"'}),
    ):
        assert refused.status_code == 412
        assert refused.json()["type"] == "urn:fastapi-base:version-mismatch"
    assert (await ada.get(url)).json()["title"] == "first"
    assert (await ada.delete(url, headers={"If-Match": '"1", "2"'})).status_code == 204


async def test_change_requires_if_match(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await make(ada))['id']}"
    for reply in (await ada.patch(url, json={"title": "x"}), await ada.delete(url)):
        assert reply.status_code == 428
        assert reply.json()["type"] == "urn:fastapi-base:version-required"


async def test_deleted_item_is_gone_until_restored(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await make(ada))['id']}"
    assert (await ada.post(f"{url}/restore")).status_code == 404
    assert (await ada.delete(url, headers={"If-Match": "*"})).status_code == 204
    assert await titles(ada) == []
    gone = [
        await ada.get(url),
        await ada.patch(url, json={"title": "x"}, headers={"If-Match": "*"}),
        await ada.delete(url, headers={"If-Match": "*"}),
    ]
    assert [reply.status_code for reply in gone] == [404, 404, 404]
    assert (await ada.get(f"{PATH}/export")).text.count("\r\n") == 1
    restored = await ada.post(f"{url}/restore")
    assert (restored.status_code, restored.headers["etag"]) == (200, '"3"')
    assert await titles(ada) == ["Teapot"]


async def test_items_of_other_accounts_are_not_found(
    ada: httpx2.AsyncClient,
) -> None:
    url = f"{PATH}/{(await make(ada))['id']}"
    ada.headers |= await new_user(ada, "eve@example.com")
    replies = [
        await ada.get(url),
        await ada.get(url, headers={"If-None-Match": "*"}),
        await ada.patch(url, json={"title": "x"}, headers={"If-Match": "*"}),
        await ada.delete(url, headers={"If-Match": '"1"'}),
        await ada.post(f"{url}/restore"),
    ]
    assert {reply.status_code for reply in replies} == {404}
    assert await titles(ada) == []
    assert (await ada.get(f"{PATH}/export?format=ndjson")).text == ""


async def test_api_key_is_limited_to_its_scopes(ada: httpx2.AsyncClient) -> None:
    url = f"{PATH}/{(await make(ada))['id']}"
    body = {"name": "reader", "scopes": ["items:read"]}
    key = (await ada.post("/api/v1/api-keys", json=body)).json()["key"]
    reader = authorization(key)
    for path in (PATH, url, f"{PATH}/export"):
        assert (await ada.get(path, headers=reader)).status_code == 200, path
    for method, path in (("POST", PATH), ("POST", f"{PATH}/bulk"), ("POST", f"{url}/restore")):
        reply = await ada.request(method, path, json={"title": "x"}, headers=reader)
        assert reply.status_code == 403, path
        assert reply.json()["type"] == "urn:fastapi-base:insufficient-scope"
    assert (await ada.delete(url, headers=reader | {"If-Match": "*"})).status_code == 403
    assert await titles(ada) == ["Teapot"]


async def test_lists_are_sorted_filtered_and_paged(ada: httpx2.AsyncClient) -> None:
    for title in ("b", "a_2", "ax2", "c"):
        await make(ada, title)
    assert await titles(ada) == ["c", "ax2", "a_2", "b"]
    assert await titles(ada, sort="title") == ["a_2", "ax2", "b", "c"]
    # The caller's text is not a pattern.
    assert await titles(ada, title_prefix="a_") == ["a_2"]
    assert await titles(ada, created_before="2000-01-01T00:00:00Z") == []
    assert len(await titles(ada, created_from="2000-01-01T00:00:00Z")) == 4
    first = await ada.get(PATH, params={"limit": 3, "sort": "-title", "total": True})
    assert (first.json()["total"], first.json()["total_is_exact"]) == (4, True)
    assert first.headers["cache-control"] == "no-store"
    second = await ada.get(first.links["next"]["url"])
    assert [item["title"] for item in second.json()["items"]] == ["a_2"]
    # An index serves prefixes only when sorted by title.
    assert await titles(ada, title_prefix="a") == ["a_2", "ax2"]
    refused = await ada.get(PATH, params={"title_prefix": "a", "sort": "-created_at"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {
            "location": ["query", "sort"],
            "message": "With title_prefix, sort must be title or -title or omitted,"
            " not -created_at",
            "type": "value_error",
        }
    ]
    assert (await ada.get(PATH, params={"sort": ["title", "created_at"]})).status_code == 422
    for params in ({"sort": "owner_id"}, {"created_from": "yesterday"}, {"title_prefix": "\0"}):
        assert (await ada.get(PATH, params=params)).status_code == 422


async def test_titles_follow_the_text_profile(ada: httpx2.AsyncClient) -> None:
    for sent, kept in (
        ("Cafe\u0301\u3000au\u00a0 lait", "Caf\u00e9 au lait"),
        ("Te\u0308e", "T\u00ebe"),
        # The maximum length, of the characters that take most space in a cursor.
        *((f"{n}" + "\U0001f600" * 199, f"{n}" + "\U0001f600" * 199) for n in range(3)),
    ):
        assert (await make(ada, sent))["title"] == kept
    # The filter accepts any normalisation form.
    for prefix in ("Cafe\u0301\u3000", "Caf\u00e9\u00a0a", "Cafe\u0301"):
        assert await titles(ada, title_prefix=prefix) == ["Caf\u00e9 au lait"]
    page = await ada.get(PATH, params={"sort": "title", "limit": 1})
    assert page.status_code == 200
    for _ in range(4):
        page = await ada.get(page.links["next"]["url"])
        assert page.status_code == 200
    for title, why in (("a\nb", "U+000A at position 2"), ("a\u202eb", "U+202E")):
        reply = await ada.post(PATH, json={"title": title})
        assert (reply.status_code, why in reply.text) == (422, True)


@pytest.mark.parametrize(("count", "statements"), [(3, 1), (service.COPY_FROM_ROWS + 50, 0)])
async def test_batch_creates_all_items_in_order(
    ada: httpx2.AsyncClient, count: int, statements: int
) -> None:
    body = {"items": [{"title": f"t{n}", "description": 'a\t"b"\n'} for n in range(count)]}
    with counted() as seen:
        reply = await ada.post(f"{PATH}/bulk", json=body)
    assert reply.status_code == 201, reply.text
    assert sum("items" in statement for statement in seen) == statements
    exported = (await ada.get(f"{PATH}/export", params={"format": "ndjson"})).text.splitlines()
    made = {item["id"]: item for item in map(json.loads, exported)}
    assert [made[item_id]["title"] for item_id in reply.json()["ids"]] == [
        f"t{n}" for n in range(count)
    ]
    assert {item["description"] for item in made.values()} == {'a\t"b"\n'}
    assert {item["version"] for item in made.values()} == {1}


async def test_batch_with_an_invalid_item_creates_none(ada: httpx2.AsyncClient) -> None:
    body = {"items": [{"title": "good"}, {"title": ""}]}
    assert (await ada.post(f"{PATH}/bulk", json=body)).status_code == 422
    assert await titles(ada) == []


async def test_export_returns_the_stored_items(ada: httpx2.AsyncClient) -> None:
    descriptions = ['with "quotes", commas', "two\nlines", ""]
    for description in descriptions:
        await make(ada, description=description)
    reply = await ada.get(f"{PATH}/export", params={"format": "csv"})
    assert reply.headers["content-type"].startswith("text/csv")
    assert reply.headers["content-disposition"] == 'attachment; filename="items.csv"'
    assert reply.headers["accept-ranges"] == "none"
    rows = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    assert [row["description"] for row in rows] == descriptions
    item = (await ada.get(f"{PATH}/{rows[0]['id']}")).json()
    assert {name: str(value) for name, value in item.items() if name[-3:] != "_at"} == {
        name: value for name, value in rows[0].items() if name[-3:] != "_at"
    }
    lines = (await ada.get(f"{PATH}/export", params={"format": "ndjson"})).text.splitlines()
    page = (await ada.get(PATH, params={"sort": "created_at"})).json()["items"]
    assert [json.loads(line)["id"] for line in lines] == [item["id"] for item in page]
    assert (await ada.get(f"{PATH}/export", params={"format": "xml"})).status_code == 422


async def test_purge_removes_items_deleted_long_ago(
    ada: httpx2.AsyncClient, database: RolledBackDatabase
) -> None:
    titled = ("old", "older", "new", "kept")
    old, older, new, _ = [(await make(ada, title))["id"] for title in titled]
    for item_id in (old, older, new):
        await ada.delete(f"{PATH}/{item_id}", headers={"If-Match": "*"})
    async with database.transaction() as session:
        await (await session.connection()).execute(
            text("UPDATE items SET deleted_at = now() - interval '31 days' WHERE id = ANY(:ids)"),
            {"ids": [old, older]},
        )
    assert await service.purge(database, batch=1) == 2
    assert await service.purge(database, batch=1) == 0
    assert (await ada.post(f"{PATH}/{old}/restore")).status_code == 404
    assert (await ada.post(f"{PATH}/{new}/restore")).status_code == 200
    assert sorted(await titles(ada)) == ["kept", "new"]
