"""Which files are CSV with items, in which encodings."""

import httpx2
import pytest

from fastapi_base.core.config import Settings
from fastapi_base.db.session import EngineDatabase
from fastapi_base.schemas.items.item import IMPORT_ROWS
from tests.integration.jobs import items_files
from tests.integration.jobs.items_files import items, send
from tests.integration.jobs.steps import work_off

pytestmark = pytest.mark.anyio
ada = items_files.ada


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
