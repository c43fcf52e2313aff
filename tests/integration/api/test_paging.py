"""Lists over HTTP: bounded and linked; errors name the parameter."""

from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from fastapi_base.api.dependencies.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.api.deps import ResourcesDep
from fastapi_base.models import User
from fastapi_base.services.identity import users
from fastapi_base.utils.pagination import CursorCodec, Listing, Page, Position, fetch
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio

LISTING = Listing(
    "addresses",
    col(User.id),
    {"email": col(User.email), "created_at": col(User.created_at)},
    "email",
)
PATH = "/test/addresses"


@pytest.fixture
def app(own_app: FastAPI) -> FastAPI:
    """The application with a list of e-mail addresses."""

    @own_app.get(PATH, responses=PAGE_HEADERS)
    async def read_addresses(
        page: Annotated[PageRequest, pages(LISTING)], resources: ResourcesDep, prefix: str = ""
    ) -> Page[str]:
        statement = select(col(User.email)).where(col(User.email).startswith(prefix))
        async with resources.database.read() as connection:
            return page.reply(await fetch(connection, statement, page.query, lambda row: row.email))

    return own_app


@pytest.fixture(autouse=True)
async def people(database: RolledBackDatabase) -> None:
    async with database.transaction() as session:
        for name in ["eve", "ada", "bob", "cyd", "dan"]:
            await users.add(session, email=f"{name}@example.com", password_hash="x")


def links(reply: httpx2.Response) -> dict[str, str]:
    return {str(name): str(link["url"]) for name, link in reply.links.items()}


async def test_links_walk_the_list_forwards_and_backwards(client: httpx2.AsyncClient) -> None:
    first = await client.get(PATH, params={"limit": 2, "sort": "-email", "total": True})
    assert first.json()["items"] == ["eve@example.com", "dan@example.com"]
    assert first.json()["total"] == 5
    assert set(links(first)) == {"first", "next"}
    second = await client.get(links(first)["next"])
    assert second.json()["items"] == ["cyd@example.com", "bob@example.com"]
    third = await client.get(links(second)["next"])
    assert third.json()["items"] == ["ada@example.com"]
    assert third.json()["next"] is None
    assert set(links(third)) == {"first", "prev"}
    assert (await client.get(links(third)["prev"])).json() == second.json()
    assert (await client.get(links(third)["first"])).json() == first.json()


async def test_cursors_in_the_body_walk_the_list_too(client: httpx2.AsyncClient) -> None:
    first = (await client.get(PATH, params={"limit": 4})).json()
    assert first["total"] is None
    rest = await client.get(PATH, params={"cursor": first["next"], "prefix": "e"})
    assert rest.json()["items"] == ["eve@example.com"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "many"),
        ("sort", "password_hash"),
        ("sort", "email; DROP TABLE users"),
        ("sort", "--email"),
        ("cursor", ""),
        ("cursor", "x"),
        ("cursor", "\0"),
        ("cursor", "x" * 3000),
        ("cursor", "{cursor}x"),
        ("total", "perhaps"),
    ],
)
async def test_invalid_parameter_is_named(
    client: httpx2.AsyncClient, name: str, value: str
) -> None:
    good = (await client.get(PATH, params={"limit": 1})).json()["next"]
    reply = await client.get(PATH, params={name: value.replace("{cursor}", good)})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["location"][:2] == ["query", name]


async def test_cursor_is_bound_to_its_list_and_order(
    client: httpx2.AsyncClient, app: FastAPI
) -> None:
    good = (await client.get(PATH, params={"limit": 1})).json()["next"]
    assert (await client.get(PATH, params={"cursor": good})).status_code == 200
    assert (await client.get(PATH, params={"cursor": good, "sort": "email"})).status_code == 200
    codec: CursorCodec = app.state.resources.cursors
    position = codec.decode(good, "addresses?email")
    for wrong in [
        {"cursor": good, "sort": "-email"},
        {"cursor": codec.encode(position, "users?email")},
        {"cursor": codec.encode(Position(position.values), "addresses?-email")},
        {"cursor": CursorCodec([b"other"]).encode(position, "addresses?email")},
    ]:
        reply = await client.get(PATH, params=wrong)
        assert reply.status_code == 422, wrong
        assert reply.json()["errors"][0]["location"] == ["query", "cursor"]


async def test_link_header_cannot_be_injected(client: httpx2.AsyncClient) -> None:
    reply = await client.get(
        f"{PATH}?limit=1&prefix=%0d%0aSet-Cookie:a%3d1&x=>,%20</evil>;rel=%22next%22"
    )
    assert reply.status_code == 200
    assert "set-cookie" not in reply.headers
    assert set(links(reply)) == {"first"}
    assert "</evil>" not in reply.headers["link"]


async def test_openapi_lists_the_orders(app: FastAPI) -> None:
    document = app.openapi()
    operation = document["paths"][PATH]["get"]
    parameters = {given["name"]: given for given in operation["parameters"]}
    assert set(parameters) == {"limit", "cursor", "sort", "total", "prefix"}
    name = parameters["sort"]["schema"]["$ref"].rpartition("/")[2]
    orders = document["components"]["schemas"][name]["enum"]
    assert orders == ["email", "-email", "created_at", "-created_at"]
    assert parameters["limit"]["schema"]["maximum"] == 100
    assert "Link" in operation["responses"]["200"]["headers"]
