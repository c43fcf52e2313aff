"""Items out of CSV: all rows or none, unless the caller wants the good ones; and once."""

import json
from typing import Any

import httpx2
import pytest

from fastapi_base.core.config import Settings
from fastapi_base.db.database import EngineDatabase
from fastapi_base.schemas.item import IMPORT_ERRORS, IMPORT_ROWS, ItemsImport
from fastapi_base.services import items_import
from fastapi_base.services.jobs.context import Handler, JobContext
from tests.integration.accounts import new_user
from tests.integration.jobs.steps import row, work_off

pytestmark = pytest.mark.anyio

PATH = "/api/v1/items"
Found = set[tuple[str, str | None]]


@pytest.fixture
async def ada(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client that is logged in."""
    client.headers |= await new_user(client, "ada@example.com")
    return client


async def send(
    client: httpx2.AsyncClient, content: str | bytes, kind: str = "text/csv", **query: str
) -> httpx2.Response:
    headers = {"Content-Type": kind}
    return await client.post(f"{PATH}/imports", content=content, params=query, headers=headers)


async def items(client: httpx2.AsyncClient) -> Found:
    lines = (await client.get(f"{PATH}/export?format=ndjson")).text.splitlines()
    found = [(item["title"], item["description"]) for item in map(json.loads, lines)]
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("title,description\nTeapot,Short\nCup,\n", {("Teapot", "Short"), ("Cup", None)}),
        ("\ufefftitle\r\nTeapot\r\n\r\n Cup \r\n", {("Teapot", None), ("Cup", None)}),
        ('description,title\n"two\r\nlines","a ""b"", c"', {('a "b", c', "two\r\nlines")}),
        ('title,description\nTeapot,""\n', {("Teapot", "")}),
        ("title\n", set()),
    ],
    ids=["plain", "mark-and-blank-lines", "quoted", "empty-is-not-nothing", "no-rows"],
)
async def test_rows_become_items(
    ada: httpx2.AsyncClient,
    database: EngineDatabase,
    settings: Settings,
    text: str,
    found: Found,
) -> None:
    job = await work_off(database, settings, await send(ada, text))
    assert job.state == "succeeded"
    assert job.result == {"rows": len(found), "imported": len(found), "rejected": 0, "errors": []}
    assert await items(ada) == found
    # The file is not kept.
    assert job.payload == {}


async def test_what_was_exported_is_imported_as_it_was(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    bodies: list[dict[str, str | None]] = [
        {"title": "nothing"},
        {"title": "empty", "description": ""},
        {"title": "=1+1", "description": 'a "b", c;\td\r\ne\nf\rg'},
        {"title": "\u00e9\u4e16\U0001f600", "description": " spaces "},
    ]
    for body in bodies:
        assert (await ada.post(PATH, json=body)).status_code == 201
    exported = (await ada.get(f"{PATH}/export")).content
    before = await items(ada)
    assert before == {(body["title"], body.get("description")) for body in bodies}
    ada.headers |= await new_user(ada, "eve@example.com")
    job = await work_off(database, settings, await send(ada, exported))
    assert job.result["imported"] == len(bodies)
    assert await items(ada) == before


WRONG = f'title,description\ngood,\n,\n"a\nb",too,many\n{"x" * 201},{"y" * 5001}\nlast,\n'
ERRORS: list[dict[str, Any]] = [
    {"line": 3, "column": "title", "message": "Input should be a valid string"},
    {"line": 4, "column": None, "message": "The row has 3 fields, the header 2"},
    {"line": 6, "column": "title", "message": "String should have at most 200 characters"},
    {"line": 6, "column": "description", "message": "String should have at most 5000 characters"},
]


async def test_with_a_wrong_row_nothing_is_made_unless_that_is_asked_for(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    job = await work_off(database, settings, await send(ada, WRONG))
    assert job.state == "succeeded"
    assert job.result == {"rows": 5, "imported": 0, "rejected": 3, "errors": ERRORS}
    assert await items(ada) == set()
    job = await work_off(database, settings, await send(ada, WRONG, partial="true"))
    assert job.result == {"rows": 5, "imported": 2, "rejected": 3, "errors": ERRORS}
    assert await items(ada) == {("good", None), ("last", None)}
    # As its owner sees it.
    seen = (await ada.get(f"/api/v1/jobs/{job.id}")).json()
    assert (seen["result"], seen["progress"]["total"]) == (job.result, 2)


async def test_only_the_first_errors_are_told(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    text = "title\n" + '""\n' * (IMPORT_ERRORS + 50)
    result = (await work_off(database, settings, await send(ada, text))).result
    assert (result["rejected"], len(result["errors"])) == (IMPORT_ERRORS + 50, IMPORT_ERRORS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the header has no column title"),
        ("name\nTeapot\n", "the header has no column title"),
        ("title;description\nTeapot;x\n", "the header has no column title"),
        ("title,owner_id\nTeapot,x\n", "the header has columns that are not known: owner_id"),
        ("title,title\nTeapot,x\n", "the header has a column twice"),
        ('title\n"Teapot\n', "line 2: this is not CSV: unexpected end of data"),
        ('title\ngood\n"Tea"pot\n', "line 3: this is not CSV: ',' expected after '\"'"),
        ("title\n" + "x\n" * (IMPORT_ROWS + 1), f"there are more than {IMPORT_ROWS} rows"),
    ],
    ids=["empty", "no-title", "semicolons", "unknown", "twice", "open-quote", "quote", "long"],
)
async def test_what_is_no_list_of_items_fails_at_once_and_says_why(
    ada: httpx2.AsyncClient,
    database: EngineDatabase,
    settings: Settings,
    text: str,
    said: str,
) -> None:
    job = await work_off(database, settings, await send(ada, text, partial="true"))
    assert (job.state, job.attempt) == ("failed", 1)
    assert job.error.startswith(said)
    assert await items(ada) == set()


async def test_as_many_rows_as_may_be(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    text = "title\n" + "x\n" * IMPORT_ROWS
    job = await work_off(database, settings, await send(ada, text))
    assert job.result["imported"] == IMPORT_ROWS
    assert job.progress == {"done": IMPORT_ROWS, "total": IMPORT_ROWS, "note": "items made"}


async def test_what_is_no_text_in_utf8_is_refused_at_once(ada: httpx2.AsyncClient) -> None:
    for kind in ("application/json", "text/plain", "text/csv; charset=latin-1", "nonsense"):
        reply = await send(ada, "title\n", kind)
        assert (reply.status_code, reply.headers["accept"]) == (415, "text/csv"), kind
        assert reply.json()["type"] == "urn:fastapi-base:unsupported-media-type"
    for body, at in ((b"title\n\xe9\n", 6), (b"\xef\xbb\xbftitle\na\0b\n", 10)):
        reply = await send(ada, body, "text/csv; charset=UTF-8; header=present")
        assert reply.status_code == 422
        assert reply.json()["errors"][0]["location"] == ["body", at]
    assert (await send(ada, "x" * (2 << 20))).status_code == 413
    assert (await ada.get("/api/v1/jobs")).json()["items"] == []


async def test_attempt_that_dies_after_its_writes_makes_nothing_and_the_next_all(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    reply = await send(ada, "title\nTeapot\n")

    async def dies(job: JobContext, payload: ItemsImport) -> None:
        await items_import.run(job, payload)
        raise ConnectionResetError

    broken = {items_import.IMPORT.name: Handler(items_import.IMPORT, dies)}
    job_id = (await work_off(database, settings, reply, broken)).id
    assert await items(ada) == set()
    assert (await ada.post(f"/api/v1/jobs/{job_id}/cancel")).status_code == 200
    assert (await ada.post(f"/api/v1/jobs/{job_id}/retry")).status_code == 200
    for _ in range(2):
        assert (await work_off(database, settings, reply)).state == "succeeded"
    assert await items(ada) == {("Teapot", None)}


async def test_sent_twice_under_one_key_it_is_one_job(
    ada: httpx2.AsyncClient, database: EngineDatabase
) -> None:
    ada.headers["Idempotency-Key"] = "key"
    first, second = [await send(ada, "title\nTeapot\n") for _ in range(2)]
    assert first.json() == second.json()
    assert (await send(ada, "title\nCup\n")).status_code == 422
    stored = await row(database, first.json()["id"])
    assert (stored.queue, stored.order_key) == (
        "fastapi-base.bulk",
        f"items-import:{stored.owner_id}",
    )


async def test_key_needs_the_scope(ada: httpx2.AsyncClient) -> None:
    body = {"name": "reader", "scopes": ["items:read"]}
    key = (await ada.post("/api/v1/api-keys", json=body)).json()["key"]
    del ada.headers["Authorization"]
    assert (await send(ada, "title\n")).status_code == 401
    ada.headers["Authorization"] = f"Bearer {key}"
    assert (await send(ada, "title\n")).status_code == 403
