"""How many statements an endpoint sends: a constant, however many rows there are."""

import httpx2
import pytest

from tests.integration.accounts import new_user
from tests.integration.queries import counted

pytestmark = pytest.mark.anyio

# By endpoint, the statement included that checks the session.
READS = {
    "/api/v1/users/me": 1,
    "/api/v1/sessions": 2,
    "/api/v1/items": 2,  # slice: items
    "/api/v1/items?total=true": 3,  # slice: items
    "/api/v1/items/export": 2,  # slice: items
}


@pytest.mark.parametrize("path", READS)
async def test_reads_send_as_many_statements_for_many_rows_as_for_one(
    client: httpx2.AsyncClient, path: str
) -> None:
    headers = await new_user(client, "ada@example.com")
    for _ in range(2):
        with counted() as statements:
            reply = await client.get(path, headers=headers)
        assert reply.status_code == 200
        assert len(statements) == READS[path], statements
        for _ in range(5):
            await new_user(client, "ada@example.com")
            await client.post("/api/v1/items", json={"title": "x"}, headers=headers)  # slice: items
