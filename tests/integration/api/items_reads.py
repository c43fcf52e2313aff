"""Reads of a cached item."""

import httpx2
import pytest

from fastapi_base.core.observability.metrics import REGISTRY
from tests.integration.accounts import new_user

PATH = "/api/v1/items"
ANY = {"If-Match": "*"}


def reads(outcome: str) -> float:
    """The number of reads with this outcome so far."""
    labels = {"namespace": "items", "outcome": outcome}
    return REGISTRY.get_sample_value("cache_reads_total", labels) or 0


@pytest.fixture
async def url(client: httpx2.AsyncClient) -> str:
    """The URL of an item of Ada's, who is logged in."""
    client.headers |= await new_user(client, "ada@example.com")
    return f"{PATH}/{(await client.post(PATH, json={'title': 'a'})).json()['id']}"
