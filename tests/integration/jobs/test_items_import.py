"""Import of items from CSV: all rows or none, unless the caller asks for the valid ones; once."""

import csv
import io
import re
from typing import Any

import httpx2
import pytest

from fastapi_base.core.config import Settings
from fastapi_base.db.session import EngineDatabase
from fastapi_base.schemas.items.item import IMPORT_ERRORS, IMPORT_ROWS, ItemsImport
from fastapi_base.services.items import items_import
from fastapi_base.services.jobs.context import Handler, JobContext
from tests.integration.accounts import new_user
from tests.integration.jobs import items_files
from tests.integration.jobs.items_files import PATH, Found, items, send
from tests.integration.jobs.steps import row, work_off

pytestmark = pytest.mark.anyio
ada = items_files.ada


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("title,description\nTeapot,Short\nCup,\n", {("Teapot", "Short"), ("Cup", None)}),
        ("\ufefftitle\r\nTeapot\r\n\r\n Cup \r\n", {("Teapot", None), ("Cup", None)}),
        ('description,title\n"two\r\nlines","a ""b"", c"', {('a "b", c', "two\r\nlines")}),
        ('title,description\nTeapot,""\n', {("Teapot", "")}),
        ("title\n", set()),
        (" Title ,DESCRIPTION\nTeapot,Short\n", {("Teapot", "Short")}),
        (
            "title,description,,\nTeapot,Short,,\nCup\n,,,\n\n , \n",
            {("Teapot", "Short"), ("Cup", None)},
        ),
        (",,\ntitle,,description\nTeapot,,Short,,,\n", {("Teapot", "Short")}),
        ("title;description\nTea;pot\n", {("Tea", "pot")}),
        ('"Title"\t"Description"\r\n"a;b"\t"c,d"\r\n', {("a;b", "c,d")}),
        ("\ufeffsep=;\r\ntitle;description\r\na,b;c\r\n", {("a,b", "c")}),
        ("SEP=,\ntitle,description\na;b,c\n", {("a;b", "c")}),
        ('"sep=\t"\ntitle\tdescription\na\tb\n', {("a", "b")}),
        ("title;\nTeapot;\n", {("Teapot", None)}),
    ],
    ids=[
        "plain",
        "mark-and-blank-lines",
        "quoted",
        "empty-is-not-nothing",
        "no-rows",
        "case-and-blanks",
        "empty-columns-and-rows",
        "empty-rows-first",
        "semicolons",
        "tabs",
        "sep-line",
        "sep-line-in-capitals",
        "sep-line-quoted",
        "one-column",
    ],
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


async def test_export_can_be_imported_unchanged(
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


async def test_spreadsheet_export_is_safe_and_can_be_imported_unchanged(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1+1", "a;=1+1", "Teapot", "\uff1d1"]
    for title in formulas:
        body = {"title": title, "description": f"\t{title}\r\n- {title}"}
        assert (await ada.post(PATH, json=body)).status_code == 201
    before = await items(ada)
    exported = (await ada.get(f"{PATH}/export?escape_formulas=true")).text
    signs = ("=", "+", "-", "@", "\uff1d", "\t", "\r")
    for cells in csv.reader(io.StringIO(exported, newline="")):
        assert not [cell for cell in cells if cell.startswith(signs)]
    # Whatever delimiter and quoting a spreadsheet uses.
    for cell in re.split("[,;\t\r\n]", exported):
        assert not cell.lstrip('" ').startswith(signs), cell
    ada.headers |= await new_user(ada, "eve@example.com")
    job = await work_off(database, settings, await send(ada, exported, escape_formulas="true"))
    assert job.result["imported"] == len(formulas)
    assert await items(ada) == before


WRONG = f'title,description\ngood,\n,x\n"a",too,many\n{"x" * 201},{"y" * 5001}\n"a\nb",\nlast,\n'
ERRORS: list[dict[str, Any]] = [
    {"line": 3, "column": "title", "message": "Input should be a valid string"},
    {"line": 4, "column": None, "message": "The row has 3 fields, but the header has 2"},
    {"line": 5, "column": "title", "message": "String should have at most 200 characters"},
    {"line": 5, "column": "description", "message": "String should have at most 5000 characters"},
    {
        "line": 6,
        "column": "title",
        "message": "Value error, U+000A at position 2 is a control character",
    },
]


async def test_invalid_row_prevents_the_import_unless_valid_rows_are_requested(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    job = await work_off(database, settings, await send(ada, WRONG))
    assert job.state == "succeeded"
    assert job.result == {"rows": 6, "imported": 0, "rejected": 4, "errors": ERRORS}
    assert await items(ada) == set()
    job = await work_off(database, settings, await send(ada, WRONG, partial="true"))
    assert job.result == {"rows": 6, "imported": 2, "rejected": 4, "errors": ERRORS}
    assert await items(ada) == {("good", None), ("last", None)}
    # As the owner sees it.
    seen = (await ada.get(f"/api/v1/jobs/{job.id}")).json()
    assert (seen["result"], seen["progress"]["total"]) == (job.result, 2)


async def test_only_the_first_errors_are_reported(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    text = "title,description\n" + ",x\n" * (IMPORT_ERRORS + 50)
    result = (await work_off(database, settings, await send(ada, text))).result
    assert (result["rejected"], len(result["errors"])) == (IMPORT_ERRORS + 50, IMPORT_ERRORS)


async def test_maximum_number_of_rows_is_imported(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    text = "title\n" + "x\n" * IMPORT_ROWS
    job = await work_off(database, settings, await send(ada, text))
    assert job.result["imported"] == IMPORT_ROWS
    assert job.progress == {"done": IMPORT_ROWS, "total": IMPORT_ROWS, "note": "items made"}


async def test_attempt_that_dies_after_its_writes_is_rolled_back_and_the_next_succeeds(
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


async def test_repeated_idempotency_key_creates_one_job(
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


async def test_api_key_requires_the_scope(ada: httpx2.AsyncClient) -> None:
    body = {"name": "reader", "scopes": ["items:read"]}
    key = (await ada.post("/api/v1/api-keys", json=body)).json()["key"]
    del ada.headers["Authorization"]
    assert (await send(ada, "title\n")).status_code == 401
    ada.headers["Authorization"] = f"Bearer {key}"
    assert (await send(ada, "title\n")).status_code == 403
