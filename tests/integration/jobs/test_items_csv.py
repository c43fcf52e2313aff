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
    taken = "text/csv, application/csv, application/vnd.ms-excel, multipart/form-data"
    for kind in (
        "application/json",
        "text/plain",
        "text/csv; charset=latin-1",
        "text/csv; charset*=utf-8''a; charset*0=b",
        "nonsense",
    ):
        reply = await send(ada, "title\n", kind)
        assert (reply.status_code, reply.headers["accept"]) == (415, taken), kind
        for name in (*taken.split(", "), "utf-8", "utf-16", "windows-1252"):
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
