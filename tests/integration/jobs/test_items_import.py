"""Import of items from CSV: all rows or none, unless the caller asks for the valid ones; once."""

import csv
import io
import json
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
from tests.integration.jobs.steps import row, work_off

pytestmark = pytest.mark.anyio

PATH = "/api/v1/items"
Found = set[tuple[str, str | None]]


@pytest.fixture
async def ada(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A logged-in client."""
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the header has no column title"),
        ("name\nTeapot\n", "the header has no column title"),
        ("title|description\nTeapot|x\n", "the header has no column title"),
        ("sep=;\ntitle,description\nTeapot,x\n", "the header has no column title"),
        ("sep=;\n", "the header has no column title"),
        ("title,owner_id\nTeapot,x\n", "the header has unknown columns: owner_id"),
        ("title, TITLE\nTeapot,x\n", "the header has a duplicate column"),
        ('title\n"Teapot\n', "line 2: invalid CSV: unexpected end of data"),
        ('title\ngood\n"Tea"pot\n', "line 3: invalid CSV: ',' expected after '\"'"),
        ("title\n" + "x\n" * (IMPORT_ROWS + 1), f"the file has more than {IMPORT_ROWS} rows"),
    ],
    ids=[
        "empty",
        "no-title",
        "bars",
        "sep-line",
        "sep-line-alone",
        "unknown",
        "twice",
        "open-quote",
        "quote",
        "long",
    ],
)
async def test_file_that_is_not_a_list_of_items_fails_with_the_reason(
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


async def test_maximum_number_of_rows_is_imported(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    text = "title\n" + "x\n" * IMPORT_ROWS
    job = await work_off(database, settings, await send(ada, text))
    assert job.result["imported"] == IMPORT_ROWS
    assert job.progress == {"done": IMPORT_ROWS, "total": IMPORT_ROWS, "note": "items made"}


async def test_text_that_is_not_utf8_is_refused_at_once(ada: httpx2.AsyncClient) -> None:
    taken = "text/csv, application/csv, application/vnd.ms-excel"
    for kind in (
        "application/json",
        "text/plain",
        "text/csv; charset=latin-1",
        "text/csv; charset*=utf-8''a; charset*0=b",
        "nonsense",
    ):
        reply = await send(ada, "title\n", kind)
        assert (reply.status_code, reply.headers["accept"]) == (415, taken), kind
        for name in (taken, "utf-8", "utf-16", "windows-1252"):
            assert name in reply.json()["detail"]
        assert reply.json()["type"] == "urn:fastapi-base:unsupported-media-type"
    for body, at in (
        (b"title\n\xe9\n", 6),
        (b"\xef\xbb\xbftitle\na\0b\n", 10),
        ("title\na\0b\n".encode("utf-16"), 16),
        (b"\xff\xfet\0i", 4),
        (b"PK\x03\x04workbook", 0),
    ):
        reply = await send(ada, body, "text/csv; charset=UTF-8; header=present")
        assert reply.status_code == 422
        assert reply.json()["errors"][0]["location"] == ["body", at]
    assert (await send(ada, "x" * (2 << 20))).status_code == 413
    assert (await ada.get("/api/v1/jobs")).json()["items"] == []


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("text/csv; charset=utf8", "utf-8-sig"),
        ('Text/CSV;header=present; Charset="UTF-8"', "utf-8"),
        ("application/csv", "utf-8"),
        ("application/vnd.ms-excel", "utf-16"),
        ("text/csv;charset=UTF-16", "utf-16"),
        ("text/csv; charset=windows-1252", "cp1252"),
    ],
)
async def test_spreadsheet_media_types_and_charsets_are_accepted(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings, kind: str, codec: str
) -> None:
    text = "Title;Description\r\nTh\u00e9i\u00e8re;3 \u20ac\r\n"
    job = await work_off(database, settings, await send(ada, text.encode(codec), kind))
    assert (job.state, job.result["imported"]) == ("succeeded", 1)
    assert await items(ada) == {("Th\u00e9i\u00e8re", "3 \u20ac")}


def form(*parts: bytes, boundary: str = "b") -> tuple[bytes, str]:
    """A form and its media type."""
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def part(content: bytes, kind: str = "Content-Type: text/csv\r\n", name: str = "file") -> bytes:
    """A file in a form."""
    head = f'Content-Disposition: form-data; name="{name}"; filename="a.csv"\r\n{kind}\r\n'
    return head.encode() + content


@pytest.mark.parametrize(
    "kind",
    [
        "Content-Type: application/vnd.ms-excel; charset=windows-1252\r\n",
        "Content-Type: application/octet-stream; charset=windows-1252\r\n",
    ],
)
async def test_file_of_a_form_is_accepted(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings, kind: str
) -> None:
    sent = form(part("title\r\nTh\u00e9i\u00e8re\r\n".encode("cp1252"), kind))
    job = await work_off(database, settings, await send(ada, *sent))
    assert (job.state, job.result["imported"]) == ("succeeded", 1)
    assert await items(ada) == {("Th\u00e9i\u00e8re", None)}


async def test_forms_without_exactly_one_file_of_text_are_refused(ada: httpx2.AsyncClient) -> None:
    file = part(b"title\n")
    field = b'Content-Disposition: form-data; name="file"\r\n\r\ntitle'
    for parts, status in (
        ((part(b"title\n", ""),), 202),
        ((), 422),
        ((part(b"title\n", name="other"),), 422),
        ((part(b"\xff"),), 422),
        ((file, file), 400),
        ((field,), 400),
        ((file, field), 400),
        ((part(b"title\n", "Content-Type: image/png\r\n"),), 415),
    ):
        assert (await send(ada, *form(*parts))).status_code == status, parts
    body, kind = form(file)
    # The last boundary is missing, so the file may be incomplete.
    assert (await send(ada, body[:-8], kind)).status_code == 422
    assert (await send(ada, body, "multipart/form-data")).status_code == 400
    assert len((await ada.get("/api/v1/jobs")).json()["items"]) == 1


async def test_repeated_idempotency_key_with_another_boundary_creates_one_job(
    ada: httpx2.AsyncClient,
) -> None:
    ada.headers["Idempotency-Key"] = "key"
    first, second = [
        await send(ada, *form(part(b"title\nTeapot\n"), boundary=boundary))
        for boundary in ("one", "another")
    ]
    assert first.status_code == 202
    assert first.json() == second.json()
    assert (await send(ada, *form(part(b"title\nCup\n")))).status_code == 422


async def test_surplus_cells_are_reported(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    text = "sep=,\ntitle,,description\na,lost,b\nc,,d,lost\n"
    result = (await work_off(database, settings, await send(ada, text))).result
    assert [(error["line"], error["message"]) for error in result["errors"]] == [
        (3, "Field 2 is not empty, but its column has no name in the header"),
        (4, "The row has 4 fields, but the header has 3"),
    ]
    assert await items(ada) == set()


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
