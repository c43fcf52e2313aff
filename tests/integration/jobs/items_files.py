"""Files of items, as a logged-in user sends them."""

import json

import httpx2
import pytest

from tests.integration.accounts import new_user

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
    """Import the file."""
    headers = {"Content-Type": kind}
    return await client.post(f"{PATH}/imports", content=content, params=query, headers=headers)


async def items(client: httpx2.AsyncClient) -> Found:
    """The titles and descriptions of all items."""
    lines = (await client.get(f"{PATH}/export?format=ndjson")).text.splitlines()
    found = [(item["title"], item["description"]) for item in map(json.loads, lines)]
    assert len(set(found)) == len(found)
    return set(found)
