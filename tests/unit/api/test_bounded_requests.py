"""Requests are refused at bounded cost, with and without plans, and the replies are short."""

import json
import time
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Cookie, FastAPI, Form, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware import Middleware

from fastapi_base.api import errors
from fastapi_base.api.dependencies.bounds import DEPTH_MAX, VALUES_MAX, WithinBounds, compares_only
from fastapi_base.api.errors import ERRORS_MAX
from fastapi_base.api.middleware.media_type import LENGTH_MAX, MediaTypeMiddleware
from fastapi_base.api.routing.dispatch import DispatchMiddleware, Table
from fastapi_base.api.routing.plans import plan

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str


class Things(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[Thing] = Field(max_length=1000)


router = APIRouter(dependencies=[WithinBounds])


@router.post("/any")
async def take_anything(body: dict[str, Any]) -> int:
    return len(body)


@router.post("/things")
async def take_items(body: Things) -> int:
    return len(body.items)


@router.post("/form")
async def take_form(word: Annotated[str, Form()]) -> str:
    return word


@router.post("/compared")
@compares_only
async def compare(word: Annotated[str, Form()]) -> bool:
    return word == "a"


@router.get("/words/{word}")
async def take_words(
    word: str,
    q: str = "",
    x_word: Annotated[str, Header()] = "",
    word_cookie: Annotated[str, Cookie(alias="word")] = "",
) -> list[str]:
    return [word, q, x_word, word_cookie]


@pytest.fixture(params=["plans", "fastapi"])
def client(request: pytest.FixtureRequest) -> httpx2.AsyncClient:
    chain = [Middleware(MediaTypeMiddleware)]
    if request.param == "plans":
        chain.append(Middleware(DispatchMiddleware, table=Table(plan)))
    app = FastAPI(middleware=chain)
    app.include_router(router)
    errors.install(app)
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://test")


def refused(reply: httpx2.Response) -> list[Any]:
    """The locations and reasons of the errors; the reply must be short."""
    assert reply.status_code == 422, reply.text
    assert len(reply.content) < 40_000
    return [(error["location"], error["message"]) for error in reply.json()["errors"]]


NUL = "U+0000 (NULL) at position 2 is not allowed"


@pytest.mark.parametrize(
    ("content", "where", "why"),
    [
        (rb'{"a": "b\u0000c"}', ["body", "a"], NUL),
        (rb'{"a": [1, {"b": ["x", "b\u0000c"]}]}', ["body", "a", 1, "b", 1], NUL),
        (rb'{"a": "\ud800"}', ["body", "a"], "U+D800 at position 1 is not allowed"),
        (rb'{"a": "\udc00\ud800"}', ["body", "a"], "U+DC00 at position 1 is not allowed"),
        (b'{"a": "\xed\xa0\x80"}', ["body", "a"], "U+D800 at position 1 is not allowed"),
        ('{"a": "b\\u0000c"}'.encode("utf-16"), ["body", "a"], NUL),
        (rb'{"a": {"b\u0000": 1}}', ["body", "a", r"b\x00"], f"in the member's name: {NUL}"),
        (rb'{"\udfff": 1}', ["body", r"\udfff"], "in the member's name: U+DFFF at position 1"),
        (b'{"a": NaN}', ["body", "a"], "must be a finite number"),
        (b'{"a": [-Infinity]}', ["body", "a", 0], "must be a finite number"),
        (b'{"a": 1e999}', ["body", "a"], "must be a finite number"),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", ["body"], f"at most {DEPTH_MAX} levels"),
        (b'{"a": [' + b"1," * VALUES_MAX + b"1]}", ["body"], f"at most {VALUES_MAX} values"),
    ],
    ids=lambda value: ascii(value)[:40],
)
@pytest.mark.parametrize("kind", ["application/json", "application/merge-patch+json"])
async def test_unstorable_json_is_refused_with_location_and_reason(
    client: httpx2.AsyncClient, content: bytes, where: list[Any], why: str, kind: str
) -> None:
    reply = await client.post("/any", content=content, headers={"Content-Type": kind})
    ((found, message),) = refused(reply)
    assert (found, why in message) == (where, True), message


async def test_storable_json_is_accepted(client: httpx2.AsyncClient) -> None:
    body = {"a": "\u00e9\U0001f600\ud7ff\x01", "b": [None, True, 1.5, 10**30], "c": {}}
    for content in (json.dumps(body).encode(), json.dumps(body, ensure_ascii=False).encode()):
        assert (await client.post("/any", content=content, headers=JSON)).json() == 3
    full = json.dumps({str(n): n for n in range(VALUES_MAX)})
    assert (await client.post("/any", content=full, headers=JSON)).json() == VALUES_MAX


@pytest.mark.parametrize(
    ("address", "headers", "where"),
    [
        ("/words/b%00c", {}, ["path"]),
        ("/words/a?q=b%00c", {}, ["query", "q"]),
        ("/words/a?unknown=b%00c", {}, ["query", "unknown"]),
        ("/words/a?b%00c=1", {}, ["query", r"b\x00c"]),
        ("/words/a", {b"X-Word": b"b\0c"}, ["header", "x-word"]),
        ("/words/a", {b"Cookie": rb'word="b\000c"'}, ["cookie", "word"]),
    ],
)
async def test_nul_outside_bodies_is_refused(
    client: httpx2.AsyncClient, address: str, headers: dict[bytes, bytes], where: list[str]
) -> None:
    ((found, why),) = refused(await client.get(address, headers=list(headers.items())))
    assert found == where
    assert "U+0000 (NULL)" in why
    reply = await client.get("/words/a?q=b", headers={"X-Word": "c\\", "Cookie": 'word="d\\"e"'})
    assert reply.json() == ["a", "b", "c\\", 'd"e']


async def test_nul_in_a_form_is_refused(client: httpx2.AsyncClient) -> None:
    for content, where in ((b"word=b%00c", "word"), (b"word=a&b%00c=1", r"b\x00c")):
        ((found, why),) = refused(await client.post("/form", content=content, headers=FORM))
        assert (found, why) == (["body", where], NUL)
    assert (await client.post("/form", content=b"word=a", headers=FORM)).json() == "a"
    # Where nothing is stored, it is an invalid value like any other.
    reply = await client.post("/compared", content=b"word=a%00", headers=FORM)
    assert (reply.status_code, reply.json()) == (200, False)


async def test_listed_errors_are_bounded_and_truncated(client: httpx2.AsyncClient) -> None:
    """Many unknown members with long names, at the top level and within a list."""
    some = {f"{n}{'x' * 40}": n for n in range(60)}
    for content, wrong in (
        ({**{f"m{n}": n for n in range(VALUES_MAX - 1)}, "y" * 500_000: 1}, VALUES_MAX + 1),
        ({"items": [{"title": "a", **some}] * 300}, 18_000),
        ({"items": ["a"] * 999}, 999),
    ):
        reply = await client.post("/things", json=content)
        listed = refused(reply)
        assert len(listed) == ERRORS_MAX
        assert reply.json()["errors_left_out"] == wrong - ERRORS_MAX
        assert reply.json()["detail"].startswith(f"{wrong} part(s) of the request are invalid")
    reply = await client.post("/things", json={"items": [{"title": "a"}], "\u20ac" * 300_000: 1})
    ((where, _),) = refused(reply)
    assert where == ["body", "\u20ac" * 100 + "\u2026"]
    assert "errors_left_out" not in reply.json()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": ' + b"[" * 500_000, "nests too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": "\xe9"}', "not valid UTF-8 at byte offset 7"),
    ],
    ids=["nesting", "digits", "bytes"],
)
async def test_unreadable_body_is_refused_with_the_reason(
    client: httpx2.AsyncClient, content: bytes, said: str
) -> None:
    reply = await client.post("/any", content=content, headers=JSON)
    assert reply.status_code == 400
    assert said in reply.json()["detail"]


@pytest.mark.parametrize(
    "content",
    [
        b"{" + b",".join(b'"m%d":%d' % (n, n) for n in range(60_000)) + b"}",
        b'{"items":[' + b"1," * 400_000 + b"1]}",
        b'{"items":' + b"[" * 500_000,
        b'{"items":' + b"9" * 900_000 + b"}",
        b'{"items":"' + rb"\u0301" * 150_000 + b'"}',
    ],
    ids=["members", "elements", "nesting", "digits", "marks"],
)
async def test_bodies_of_maximum_size_are_parsed_quickly(
    client: httpx2.AsyncClient, content: bytes
) -> None:
    start = time.thread_time()
    reply = await client.post("/things", content=content, headers=JSON)
    assert time.thread_time() - start < 1
    assert reply.status_code in (400, 422)
    assert len(reply.content) < 40_000


async def test_thousands_of_parameters_and_fields_are_handled_quickly(
    client: httpx2.AsyncClient,
) -> None:
    start = time.thread_time()
    reply = await client.get("/words/a?q=1&" + "&".join(f"q{n}={n}" for n in range(5000)))
    assert reply.json()[1] == "1"
    fields = "&".join(f"f{n}={n}" for n in range(100_000))
    reply = await client.post("/form", content=fields, headers=FORM)
    assert time.thread_time() - start < 2
    assert reply.status_code == 400
    assert "Too many fields" in reply.json()["detail"]


def multipart(charset: str, text: bytes) -> tuple[bytes, dict[str, str]]:
    content = (
        b'--x\r\nContent-Disposition: form-data; name="word"\r\n\r\n' + text + b"\r\n--x--\r\n"
    )
    return content, {"Content-Type": f"multipart/form-data; boundary=x{charset}"}


async def test_forms_are_not_decoded_with_python_codecs(client: httpx2.AsyncClient) -> None:
    """Punycode decoding takes quadratic time: minutes for this body."""
    slow = b"x" * 450_000 + b"-" + b"b" * 450_000
    for charset in (
        "; charset=punycode",
        '; CharSet="idna"',
        "; charset=utf-8; charset=punycode",
        "; charset=utf-8x",
        "; charset = unicode_escape",
    ):
        content, headers = multipart(charset, slow)
        reply = await client.post("/form", content=content, headers=headers)
        assert reply.status_code == 415, charset
        assert "charset=utf-8" in reply.json()["detail"]
    for charset in ("", "; charset=utf-8", '; charset="UTF-8"', ";charset=utf8"):
        content, headers = multipart(charset, "\u00e9".encode())
        reply = await client.post("/form", content=content, headers=headers)
        assert reply.json() == "\u00e9", charset


async def test_long_media_type_is_not_parsed(client: httpx2.AsyncClient) -> None:
    long = {"Content-Type": 'text/csv; a="' + ";" * LENGTH_MAX}
    reply = await client.post("/any", content=b"{}", headers=long)
    assert reply.status_code == 415
    assert str(LENGTH_MAX) in reply.json()["detail"]
